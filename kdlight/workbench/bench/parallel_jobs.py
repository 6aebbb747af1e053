"""Measure how much time ``kdlight ablate --jobs 2`` saves on two cores.

A grid of runs is trained one run at a time, then the same grid is trained two runs at a time.
"""

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from kdlight.errors import UserError
from kdlight.workbench.ablate.ablation import ablate
from kdlight.workbench.bench.measure import make_workplace

RUNS, EPOCHS = 4, 40  # each run takes some seconds, much longer than the start of its process


class ParallelJobs(NamedTuple):
    """The seconds that the same runs take if they are trained one at a time, and two at a time."""

    one: float
    two: float

    @property
    def ratio(self) -> float:
        """How many times faster the grid is trained with two jobs than with one."""
        return self.one / self.two


def time_jobs(*, runs: int = RUNS, epochs: int = EPOCHS) -> ParallelJobs | None:
    """Train a grid of runs (ResNet-8 on the digits) one at a time, then two at a time. Each run has one thread.

    Args:
        runs: How many runs the grid has.
        epochs: How many epochs each run has.

    Returns:
        The times; None on a machine with a single core, where two jobs gain nothing.

    Raises:
        UserError: If a run fails.
    """
    if (os.cpu_count() or 1) < 2:
        return None
    with make_workplace() as folder:
        _time_grid(folder / "start", jobs=1, runs=1, epochs=1)  # not timed: starts the process that forks the runs
        return ParallelJobs(
            one=_time_grid(folder / "one", jobs=1, runs=runs, epochs=epochs),
            two=_time_grid(folder / "two", jobs=2, runs=runs, epochs=epochs),
        )


def _time_grid(folder: Path, *, jobs: int, runs: int, epochs: int) -> float:
    options = {
        "trainer.max_epochs": epochs,
        "trainer.callbacks": [],
        "model.teacher": None,
        "model.teacher_weights": None,
    }
    grid: dict[str, Any] = {"name": "timed", "base": "digits/baseline.yaml", "options": options, "seeds": runs}
    began = time.perf_counter()
    result = ablate(grid, jobs=jobs, runs=folder, console=Console(quiet=True))
    seconds = time.perf_counter() - began
    if len(result.runs) < runs:
        raise UserError(f"a timed run was not finished: {result.failed or result.stopped}")
    return seconds
