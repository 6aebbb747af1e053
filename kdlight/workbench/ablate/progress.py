"""The live table of ``kdlight ablate``, which trains the runs of a grid and their teachers.

The table shows the state of each run and each teacher, why a run failed or was stopped, and the time left.
"""

import time
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kdlight.workbench.ablate.jobs import Job, State

STYLES = {
    State.WAITING: "dim",
    State.RUNNING: "cyan",
    State.FINISHED: "green",
    State.STOPPED: "yellow",
    State.FAILED: "red",
}
EVERY_SECONDS = 1.0


class Progress:
    """Shows how far the jobs have come.

    On a terminal, a table is redrawn in place. Elsewhere, a line is printed whenever a job's state has changed.

    Args:
        jobs: The jobs. Each of them trains a run or a teacher.
        console: Where to print.
    """

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.jobs = jobs
        self.console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._said = {id(job): job.state for job in jobs}
        self._shown = 0.0
        self._began = time.monotonic()
        self._before = sum(job.trained for job in jobs)  # epochs that an earlier call of the command trained

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        else:  # a finished run has a reason if its settings differ from the grid's
            for job in self.jobs:
                if job.reason:
                    self.console.print(Text(f"{job.name}: {job.state}, but {job.reason}"), soft_wrap=True)
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.update(self._build_table(), refresh=True)
            self._live.stop()

    def show(self) -> None:
        """Redraw the table, at most once a second; or, if there is no terminal, print the states that have changed."""
        if self._live is None:
            for job in self.jobs:
                if job.state is not self._said[id(job)]:
                    self._said[id(job)] = job.state
                    reason = f": {job.reason}" if job.reason else ""
                    self.console.print(Text(f"{job.name}: {job.state}{reason}"), soft_wrap=True)
        elif time.monotonic() - self._shown > EVERY_SECONDS:
            self._shown = time.monotonic()
            self._live.update(self._build_table(), refresh=True)

    def _build_table(self) -> Group:
        rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("run", "state", "epochs", ""):
            rows.add_column(heading, overflow="fold", justify="right" if heading == "epochs" else "left")
        for job in self.jobs:
            state = Text(job.state, style=STYLES[job.state])
            rows.add_row(Text(job.name), state, f"{job.trained}/{job.epochs}", Text(job.reason))
        return Group(rows, Text(self._build_summary()))

    def _build_summary(self) -> str:
        counted = {state: sum(job.state is state for job in self.jobs) for state in State}
        said = ", ".join(f"{number} {state}" for state, number in counted.items() if number)
        trained = sum(job.trained for job in self.jobs)
        left = sum(job.epochs - job.trained for job in self.jobs if job.state in (State.WAITING, State.RUNNING))
        seconds = time.monotonic() - self._began
        if not left or trained <= self._before:
            return said
        minutes = left * seconds / (trained - self._before) / 60
        return f"{said}; about {minutes:.0f} min left" if minutes >= 1 else f"{said}; less than a minute left"
