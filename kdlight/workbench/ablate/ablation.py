"""Train the runs of a grid that are not finished.

A grid varies some settings, its axes. It has one run for each seed and each combination of the axes' values, except the
combinations that it leaves out. If a run needs a teacher that is not trained yet, the teacher is trained first (see
`ablate`).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kdlight.cli.build import ParsedConfig, parse
from kdlight.cli.messages import suppress_noise
from kdlight.cli.parser import list_teacher_holders
from kdlight.cli.shipped import list_shipped
from kdlight.errors import UserError
from kdlight.runs.changes import find_differences
from kdlight.runs.folder import RUNS, RunFolder, find_config
from kdlight.workbench.ablate.grid import Cell, Grid, read_grid
from kdlight.workbench.ablate.jobs import Job, State, run_jobs
from kdlight.workbench.ablate.progress import Progress
from kdlight.workbench.ablate.published import keep_published
from kdlight.workbench.compare.record import LOGS, Record
from kdlight.workbench.finished_runs import Run

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class AblationResult:
    """The outcome of a grid.

    Attributes:
        grid: The grid.
        cells: The runs of the grid that `ablate` was asked for.
        jobs: The jobs of these cells, in the same order. A job's state says how the training ended.
        complete: False if Ctrl-C or SIGTERM stopped the training, otherwise True.
    """

    grid: Grid
    cells: list[Cell]
    jobs: list[Job]
    complete: bool

    @property
    def runs(self) -> list[Run]:
        """The finished runs."""
        return [Run(job.folder.path) for job in self.jobs if job.state is State.FINISHED]

    @property
    def failed(self) -> dict[str, str]:
        """The reason why each failed run failed, by the run's name."""
        return {job.name: job.reason for job in self.jobs if job.state is State.FAILED}

    @property
    def stopped(self) -> dict[str, str]:
        """Why each stopped run was stopped, by the run's name. Calling `ablate` again continues these runs."""
        return {job.name: job.reason for job in self.jobs if job.state is State.STOPPED}

    def table(self, stage: str | None = None) -> "pd.DataFrame":
        """Return one row per run: its axes, seed, state, reason and folder, and the measures of ``kdlight compare``.

        Args:
            stage: The stage whose PID (partial information decomposition) is shown; None: the deepest stage whose PID a
                run measured.

        Raises:
            UserError: If no run measured the PID of this stage.
        """
        from kdlight.workbench.compare.table import tabulate_runs

        records = [
            Record(
                folder=job.folder,
                state=job.state,
                reason=job.reason,
                seed=cell.seed,
                axes=cell.axes,
                settings={},
                result=job.folder.read_result() if job.state is State.FINISHED else {},
            )
            for cell, job in zip(self.cells, self.jobs, strict=True)
        ]
        return tabulate_runs(records, stage)


def ablate(
    grid: str | Path | Mapping[str, Any],
    *,
    jobs: int = 1,
    only: Sequence[str] = (),
    seed: int | None = None,
    runs: str | Path = RUNS,
    console: Console | None = None,
) -> AblationResult:
    """Train the runs of a grid that are not finished, as ``kdlight ablate`` does.

    Call it again to continue: finished runs are skipped, stopped runs continue where they were stopped, and failed runs
    are tried again. The runs' folders are ``runs/<grid>/<axis>=<label>,…/seed=<seed>``. If a teacher's weights are
    missing and the teacher's configuration comes with kdlight, the teacher is trained first, once for all runs.

    Args:
        grid: A grid file, or its content as a mapping.
        jobs: The number of runs that are trained at the same time.
        only: Train only the runs that match at least one of these selections. For example, ``method=rid,labels=6``
            matches the runs with the label ``rid`` on the axis ``method`` and ``6`` on the axis ``labels``. Empty:
            train all runs.
        seed: Train only the runs with this seed; None: with all seeds.
        runs: The folder in which the grid's folder is created.
        console: Where progress is shown; None: the terminal.

    Raises:
        UserError: If the grid or a configuration is wrong. Nothing has been trained then.
    """
    if jobs < 1:
        raise UserError(f"jobs: expected a whole number above 0, got {jobs}")
    read = read_grid(grid, runs=Path(runs))
    cells = select_cells(read, only, seed)
    planned = plan_jobs(read, cells)
    keep_published(read.published, read.root)
    wanted = planned[len(planned) - len(cells) :]
    with Progress(planned, console or Console()) as progress:
        complete = run_jobs(planned, at_once=jobs, threads=read.threads, show=progress.show)
    return AblationResult(read, cells, wanted, complete)


def select_cells(grid: Grid, only: Sequence[str], seed: int | None) -> list[Cell]:
    """Return the runs of a grid that ``only`` and ``seed`` select, see `ablate`.

    Raises:
        UserError: If they select no run.
    """
    wanted = [set(group.split(",")) for group in only]
    cells = [
        cell
        for cell in grid.cells
        if (seed is None or cell.seed == seed)
        and (not wanted or any(parts <= set(cell.group.split(",")) for parts in wanted))
    ]
    if not cells:
        groups = " or ".join(dict.fromkeys(cell.group for cell in grid.cells))
        seeds = sorted({cell.seed for cell in grid.cells})
        asked = ", ".join([*only, *([] if seed is None else [f"seed {seed}"])])
        raise UserError(f"{grid.name} has no run '{asked}'; expected one of {groups}, with a seed of {seeds}")
    return cells


def plan_jobs(grid: Grid, cells: Sequence[Cell]) -> list[Job]:
    """Parse every configuration, and put the teachers that are missing before the runs that need them.

    Returns:
        The teachers' jobs, then one job for each cell.

    Raises:
        UserError: If a configuration is wrong; the message names the run.
    """
    teachers: dict[str, Job] = {}
    planned = []
    for cell in cells:
        try:
            parsed = _parse(cell.list_arguments())
        except UserError as error:
            raise UserError(f"{cell.name}: {error}") from error
        job = _make_job(grid, cell.name, cell.list_arguments(), cell.folder, parsed)
        if job.state is State.WAITING:
            for path in _find_missing_teachers(parsed):
                if path not in teachers:
                    teachers[path] = _make_teacher_job(grid, path)
                job.needs.append(teachers[path])
        planned.append(job)
    return [*teachers.values(), *planned]


def _make_job(grid: Grid, name: str, arguments: Sequence[str], folder: RunFolder, parsed: ParsedConfig) -> Job:
    log = grid.root / LOGS / f"{name.replace('/', ',')}.log"
    epochs = parsed.config.trainer.max_epochs or 0
    fit = [*arguments, "--ckpt_path=auto", "--trainer.enable_progress_bar=false"]
    job = Job(name, fit, folder, log, parsed, epochs)
    if folder.result.is_file():
        job.state = State.FINISHED
        before = folder.config.read_text(encoding="utf-8") if folder.config.is_file() else None
        changed = find_differences(before, parsed.to_yaml()) if before is not None else {}
        if changed:
            key, (was, now) = next(iter(changed.items()))
            job.reason = f"differs: {key} was {was!r}, the grid says {now!r}; to train the run again, remove its folder"
    return job


def _find_missing_teachers(parsed: ParsedConfig) -> list[str]:
    """Find the missing weights of teachers whose configuration comes with kdlight, and return their paths."""
    paths = dict.fromkeys(holder.get("teacher_weights") for holder in list_teacher_holders(parsed.config))
    missing = [path for path in paths if path is not None and not Path(path).is_file()]
    return [path for path in missing if find_config(path) in list_shipped()]


def _make_teacher_job(grid: Grid, path: str) -> Job:
    name = find_config(path)
    folder = RunFolder(Path(path).parent.parent)
    arguments = [f"--config={name}", f"--trainer.default_root_dir={folder.path}"]
    return _make_job(grid, f"teacher {folder.path}", arguments, folder, _parse(arguments))


def _parse(arguments: Sequence[str]) -> ParsedConfig:
    """Parse the options of a run, without printing a line for each shipped file that is used."""
    logging.disable(logging.INFO)
    try:
        with suppress_noise():
            return parse("fit", arguments)
    finally:
        logging.disable(logging.NOTSET)
