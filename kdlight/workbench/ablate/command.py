"""``kdlight ablate GRID``: train every combination of a grid. After a stop, the same command continues."""

import shlex
from collections.abc import Sequence

from rich.console import Console

from kdlight.errors import UserError
from kdlight.files import parse_path
from kdlight.workbench.command_parser import CommandParser


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        UserError: If an option or the grid is wrong, a run failed, or a signal stopped a single run.
        KeyboardInterrupt: If a signal stopped the whole command. Call it again to continue the runs.
    """
    options = make_parser().parse_args(arguments[1:])
    if options.jobs < 1:
        raise UserError(f"--jobs: expected at least 1, got {options.jobs}")
    for option in options.slurm_option:
        if not option.partition("=")[0] or "=" not in option:
            raise UserError(f"--slurm_option: expected K=V, such as slurm_partition=gpu, got '{option}'")

    # These modules import torch, which takes long. So they are imported only after --help and the parser's errors.
    from kdlight.workbench.ablate.ablation import ablate, plan_jobs, select_cells
    from kdlight.workbench.ablate.grid import read_grid
    from kdlight.workbench.ablate.jobs import State
    from kdlight.workbench.ablate.published import keep_published

    console = Console()
    if options.wandb is not None:
        from kdlight.workbench.ablate.sweep import write_sweep

        grid = read_grid(options.grid, runs=options.runs)
        write_sweep(grid, str(options.grid), options.wandb)
        print(f"saved {options.wandb}; next: wandb sweep {options.wandb}, which prints the command to start an agent")
        return
    if options.dry or options.slurm is not None:
        grid = read_grid(options.grid, runs=options.runs)
        jobs = plan_jobs(grid, select_cells(grid, options.only, options.seed))
        due = [job for job in jobs if job.state is not State.FINISHED]
        if options.slurm is not None and not options.dry:
            from kdlight.workbench.ablate.slurm import submit

            keep_published(grid.published, grid.root)
            given = dict(option.partition("=")[::2] for option in options.slurm_option)
            for job, submitted in zip(due, submit(due, grid.threads, options.slurm, options=given), strict=True):
                print(f"{job.name}: job {submitted.job_id}")
            return
        for job in due:
            print(shlex.join(["kdlight", "fit", *job.arguments]))
        from kdlight.workbench.ablate.steps import describe_total

        print(describe_total(due, finished=len(jobs) - len(due)))
        return
    result = ablate(
        options.grid, jobs=options.jobs, only=options.only, seed=options.seed, runs=options.runs, console=console
    )
    if not result.complete:
        print("kdlight: stopped; the same command continues every run where it was stopped")
        raise KeyboardInterrupt
    if result.failed or result.stopped:
        counted = {"failed": len(result.failed), "were stopped": len(result.stopped)}
        said = " and ".join(f"{number} {what}" for what, number in counted.items() if number)
        raise UserError(
            f"of {len(result.jobs)} runs, {said}; the logs are in {result.grid.root}/logs; the same command "
            "repeats the failed runs and continues the stopped ones"
        )
    print(f"{len(result.runs)} runs are finished; next: kdlight compare {result.grid.root}")


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser("kdlight ablate", description=__doc__)
    parser.add_argument(
        "grid",
        type=parse_path,
        metavar="GRID.yaml",
        help="file with the settings to combine, and the seeds; see configs/grids",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many runs to train at a time; default: 1")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GROUP",
        help="train only the runs with these settings, such as method=rid,lr=0.1; if repeated, the runs that match at "
        "least one GROUP",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="train only the runs with this seed")
    parser.add_argument(
        "--runs", type=parse_path, default="runs", metavar="DIR", help="where to put the grid's folder; default: runs"
    )
    parser.add_argument("--dry", action="store_true", help="print the commands and the number of steps; train nothing")
    parser.add_argument(
        "--wandb", type=parse_path, metavar="FILE", help="write a W&B sweep whose agents train the grid"
    )
    parser.add_argument(
        "--slurm",
        type=parse_path,
        metavar="DIR",
        help="submit all unfinished runs through submitit, which keeps its logs in DIR",
    )
    parser.add_argument(
        "--slurm_option",
        action="append",
        default=[],
        metavar="K=V",
        help="setting of submitit, such as slurm_partition=gpu; repeatable",
    )
    return parser
