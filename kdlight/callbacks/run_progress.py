"""The progress bar of a run, with the epoch, the loss, the validation accuracy, and the time left for all epochs."""

import time
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.utilities import rank_zero_info
from rich import get_console
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from kdlight.internals import count_batches
from kdlight.methods.base.learner import Learner

EVERY = 0.25  # seconds between updates; less would slow training, because reading the loss waits for the device
LOGGED_EVERY = 30.0  # seconds between printed lines, where no bar can be drawn
WINDOW = 600.0  # seconds over which the speed is averaged: long enough to include validations


class RunProgress(ProgressBar):
    """Shows one bar for the training of all epochs, and one for each test, prediction or validation outside training.

    Only the bar of the training stays visible at the end. Epochs are counted from 1. A bar and its text fill one line
    of the terminal: the longer the text, the shorter the bar. Where no bar can be drawn, such as in a file, its text is
    printed every `LOGGED_EVERY` seconds instead.

    Args:
        console: The console to draw on; None: standard output.

    Attributes:
        console: The console; it may be replaced until training starts.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console = console
        self._enabled = True
        self._bar: Progress | None = None
        self._updated, self._logged, self._said = 0.0, 0.0, False
        self._loss = self._accuracy = ""

    def disable(self) -> None:
        """Start no bar from now on. Lightning calls this in all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Start bars from now on."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the bar at the number of batches trained so far, which is not 0 if the run was resumed."""
        self._loss = self._accuracy = ""
        self._begin("", _count_all_batches(trainer), count_batches(trainer), transient=False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the number of the epoch."""
        last = f"/{trainer.max_epochs}" if trainer.max_epochs not in (None, -1) else ""
        self._show(description=f"epoch {trainer.current_epoch + 1}{last}")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the bar and the loss a few times per second, and after the last batch of an epoch."""
        if self._is_due() or trainer.is_last_batch:
            terms = pl_module.terms if isinstance(pl_module, Learner) else {}
            self._loss = f"loss {sum(float(term) for term in terms.values()):.4g}" if terms else ""
            self._show(completed=count_batches(trainer))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the validation accuracy, which Lightning has averaged over all processes by now."""
        accuracy = trainer.callback_metrics.get("val/accuracy")
        if accuracy is not None and not trainer.sanity_checking:
            self._accuracy = f"val {100 * float(accuracy):.2f} %"
            self._show()
        if trainer.state.fn == "validate":
            self._end()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the bar; it stays visible."""
        self._end()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a bar, unless this validation is part of training."""
        if trainer.state.fn == "validate":
            self._begin("validating", _add_batches(trainer.num_val_batches))

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *arguments: Any) -> None:
        """Advance the bar, unless this validation is part of training."""
        if trainer.state.fn == "validate":
            self._show(advance=1)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a bar."""
        self._begin("testing", _add_batches(trainer.num_test_batches))

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *arguments: Any) -> None:
        """Advance the bar."""
        self._show(advance=1)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar."""
        self._end()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a bar."""
        self._begin("predicting", _add_batches(trainer.num_predict_batches))

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *arguments: Any) -> None:
        """Advance the bar."""
        self._show(advance=1)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar."""
        self._end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop the bar, which restores the terminal."""
        self._end()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop the bar, which restores the terminal."""
        self._end()

    def _begin(self, description: str, total: float | None, completed: int = 0, *, transient: bool = True) -> None:
        self._end()
        if not self._enabled:
            return
        # A notebook without widgets gets the lines of a console that is no terminal.
        console = Console(force_jupyter=False, force_terminal=False) if self._lacks_widgets() else self.console
        self._logged = time.monotonic()
        whole = Column(no_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}", table_column=whole),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TaskProgressColumn("{task.percentage:>3.0f} %", table_column=whole),
            TextColumn("{task.fields[figures]}", table_column=whole),
            TimeRemainingColumn(compact=True, table_column=whole),
            TextColumn("left", table_column=whole),
            console=console,
            transient=transient,
            expand=True,
            speed_estimate_period=WINDOW,
        )
        self._bar.add_task(description, total=total, completed=completed, figures="")
        self._bar.start()

    def _lacks_widgets(self) -> bool:
        """Return whether this is a notebook that cannot draw a bar, and say once what to install."""
        lacks = (self.console or get_console()).is_jupyter and find_spec("ipywidgets") is None
        if lacks and not self._said:
            self._said = True
            rank_zero_info(
                "progress is printed as lines; a bar in a notebook needs ipywidgets (pip install ipywidgets)"
            )
        return lacks

    def _show(self, **changes: Any) -> None:
        if self._bar is not None:
            self._updated = time.monotonic()
            figures = "  ".join(figure for figure in (self._loss, self._accuracy) if figure)
            self._bar.update(self._bar.task_ids[0], figures=figures, **changes)
            if not _can_draw(self._bar.console) and time.monotonic() - self._logged >= LOGGED_EVERY:
                self._logged = time.monotonic()
                _print_line(self._bar)

    def _is_due(self) -> bool:
        if self._bar is None:
            return False
        every = EVERY if _can_draw(self._bar.console) else LOGGED_EVERY
        return time.monotonic() - self._updated >= every

    def _end(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()
            self._loss = self._accuracy = ""


def _can_draw(console: Console) -> bool:
    """Return whether a console can draw a bar; a file cannot."""
    return console.is_terminal or console.is_jupyter


def _print_line(bar: Progress) -> None:
    """Print the text of a bar."""
    task = bar.tasks[0]
    left = "" if task.time_remaining is None else f"{timedelta(seconds=round(task.time_remaining))} left"
    parts = (task.description, f"{task.percentage:.0f} %", task.fields["figures"], left)
    bar.console.print("  ".join(part for part in parts if part), markup=False, highlight=False)


def _count_all_batches(trainer: Trainer) -> float | None:
    """Return the number of training batches of the whole run; None if the run has no limit."""
    epochs = trainer.max_epochs if trainer.max_epochs not in (None, -1) else None
    ends = [epochs * trainer.num_training_batches] if epochs is not None else []
    if trainer.max_steps not in (None, -1):
        ends.append(trainer.max_steps * trainer.accumulate_grad_batches)
    return _drop_infinity(min(ends)) if ends else None


def _add_batches(batches: Any) -> float | None:
    return _drop_infinity(sum(batches) if isinstance(batches, list) else batches)


def _drop_infinity(number: float) -> float | None:
    return None if number == float("inf") else number
