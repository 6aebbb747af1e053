"""``kdlight compare RUNS``: show runs in a table with means over seeds, and in pictures.

PID is the partial information decomposition. It splits what teacher and student tell about the label into redundant
information (each of the two tells it), unique information of the teacher, unique information of the student, and
synergistic information (only the two together tell it).
"""

from collections.abc import Sequence

from kdlight.errors import UserError
from kdlight.files import parse_path
from kdlight.workbench.command_parser import CommandParser


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        UserError: If there is no run, or an option is wrong.
    """
    options = make_parser().parse_args(arguments[1:])

    from kdlight.workbench.compare.groups import group_runs
    from kdlight.workbench.compare.record import FINISHED
    from kdlight.workbench.compare.records import read_records, select_records
    from kdlight.workbench.compare.table import explain, format_table

    records = select_records(read_records(options.runs), options.where)
    columns = [name for name in options.columns.split(",") if name]
    comparison = group_runs(records, stage=options.stage, columns=columns, baseline=options.baseline, sort=options.sort)
    print(format_table(comparison, options.format))
    if options.format == "table":
        print()
        for line in explain(comparison):
            print(line)
        for record in records:
            if record.state != FINISHED:
                print(f"{record.folder.path} is {record.state}: {record.reason}")
    if options.keep is not None:
        from kdlight.workbench.compare.kept_runs import keep_runs

        keep_runs(records, options.keep)
        print(f"saved {options.keep}")
    wanted = {name: getattr(options, name) for name in ("plot", "panels", "bars", "scatter")}
    if not any(wanted.values()):
        return
    if comparison.stage is None:
        names = ", ".join(f"--{name}" for name, file in wanted.items() if file is not None)
        raise UserError(f"{names}: expected runs that measured a PID, got none; train with the callback PIDMonitor")
    from kdlight.workbench.compare import curves
    from kdlight.workbench.compare.pid_panels import save_pid_picture

    complete = [record for record in records if record.state == FINISHED]
    for name, file in wanted.items():
        if file is None:
            continue
        if name == "panels":
            save_pid_picture(complete, comparison.stage, file)
        else:
            {"plot": curves.save_curves, "bars": curves.save_bars, "scatter": curves.save_scatter}[name](
                comparison, file
            )
        print(f"saved {file}")


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser("kdlight compare", description=__doc__)
    parser.add_runs()
    parser.add_argument(
        "--stage", help="stage whose PID is shown (stage1, …, embedding, logits); default: the deepest measured stage"
    )
    parser.add_argument(
        "--columns", default="", metavar="A,B", help="measures to show; a wrong name prints the names of all measures"
    )
    parser.add_argument("--sort", default="", metavar="NAME", help="sort by a setting, or by a measure, largest first")
    parser.add_argument("--format", default="table", help="table, markdown, latex, csv or json")
    parser.add_argument(
        "--keep",
        type=parse_path,
        metavar="DIR",
        help="write the results and curves of RUNS (runs of a grid) as two small CSV files",
    )
    parser.add_argument("--plot", type=parse_path, metavar="FILE", help="save each row's accuracy and PID by epoch")
    parser.add_argument("--panels", type=parse_path, metavar="FILE", help="save each run's PID by epoch")
    parser.add_argument("--bars", type=parse_path, metavar="FILE", help="save test accuracy and PID as bars")
    parser.add_argument("--scatter", type=parse_path, metavar="FILE", help="save a plot of accuracy against redundancy")
    return parser
