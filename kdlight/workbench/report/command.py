"""``kdlight report RUNS -o FILE``: write one HTML page about runs, with the commands that repeat them."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from kdlight.errors import UserError
from kdlight.files import parse_path
from kdlight.workbench.command_parser import CommandParser


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        UserError: If there is no run, an option is wrong, or a library that the page needs is missing.
    """
    options = make_parser().parse_args(arguments[1:])
    missing = [package for package in ("plotly", "jinja2") if find_spec(package) is None]
    if missing:
        raise UserError(f"kdlight report needs {' and '.join(missing)}: pip install 'kdlight[report]'")

    from kdlight.workbench.compare.groups import group_runs
    from kdlight.workbench.compare.records import read_records, select_records
    from kdlight.workbench.report.page import write_page

    records = select_records(read_records(options.runs), options.where)
    comparison = group_runs(records, stage=options.stage, baseline=options.baseline)
    write_page(comparison, options.output, options.title)
    print(f"saved {options.output}")


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser("kdlight report", description=__doc__)
    parser.add_runs()
    parser.add_argument(
        "-o",
        "--output",
        type=parse_path,
        default=Path("report.html"),
        metavar="FILE",
        help="file in which the page is saved; default: report.html",
    )
    parser.add_argument("--title", default="", help="title of the page; default: the folder that all runs share")
    parser.add_argument(
        "--stage",
        help="stage of the networks whose PID (partial information decomposition) the table shows; default: the "
        "deepest stage whose PID a run measured",
    )
    return parser
