"""Save a run's position inside an epoch when a signal stops the run, and every half hour during long epochs."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

import torch
import torch.distributed
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from kdlight.internals import is_inside_epoch, share_no_signals, stop_after_step, validates_after
from kdlight.runs.folder import RunFolder
from kdlight.runs.stop_deadline import SIGNALS, StopDeadline


class SignalHandler(Callback):
    """After SIGTERM or Ctrl-C, stops the run at the end of a step; this is the same step in all processes.

    A second signal kills the process at once. Before the training, after it and during the final tests, the first
    signal stops the run at once, because nothing would be lost: either nothing has been computed yet, or the last epoch
    is saved and only the tests have to be repeated.

    All random choices follow from the seed, the epoch and the step. The checkpoint holds everything else on which the
    rest of the epoch depends, so a run that is stopped between two steps and resumed sees every batch of the epoch
    exactly once. If the signal comes during the last step of an epoch, the epoch is first completed with its validation
    and checkpoint.

    Without this callback, Lightning would stop after a step, too, but save nothing. Under DDP, Lightning's signal
    handler starts a broadcast. If the signal comes during a gradient all-reduce, the two collective operations
    interleave and the job hangs. Lightning would also synchronise with the device before every step, to learn whether a
    signal came. With this callback, the processes tell each other about signals over the CPU, while the device
    computes.

    Args:
        folder: The run's folder, whose ``last.ckpt`` holds the position.
        every_seconds: Also save the position when the last checkpoint is older than this many seconds.
        answer_within: After a signal, end this process if it waits this many seconds for another process of the run.

    Attributes:
        received: The signal that stopped the run.
    """

    def __init__(self, folder: RunFolder, *, every_seconds: float = 1800.0, answer_within: float = 60.0) -> None:
        self.folder = folder
        self.every_seconds = every_seconds
        self.answer_within = answer_within
        self.received: int | None = None
        self._saved = 0.0
        self._training = False
        self._stopping = False
        self._deadline: StopDeadline | None = None
        self._group: Any = None
        self._ballot = torch.zeros(2, dtype=torch.long)
        self._agreement: Any = None

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Handle the signals during a fit and its tests, and restore the earlier handlers afterwards."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        _install_handler(self._stop_now)
        try:
            yield
        finally:
            if self._deadline is not None:
                self._deadline.close()
            for number, handler in before.items():
                _install_handler(handler, number)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make this process end when the process that started it ends; otherwise NCCL would wait for minutes."""
        if trainer.world_size > 1 and trainer.local_rank > 0:
            threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From now on, stop at once if a signal comes. This replaces Lightning's handler, which only sets a flag."""
        _install_handler(self._stop_now)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From now on, only note a signal, so that the step is completed. Get the folder from the first process."""
        self.folder = trainer.strategy.broadcast(self.folder)
        self._saved = time.monotonic()
        if trainer.world_size > 1:
            self._group = torch.distributed.new_group(backend="gloo")
            share_no_signals(trainer)
            if threading.current_thread() is threading.main_thread():
                self._deadline = StopDeadline(self.answer_within, lambda: _end_others(trainer))
        self._training = True
        _install_handler(self._note_signal)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        _install_handler(signal.SIG_DFL)

    def _stop_now(self, number: int, frame: FrameType | None) -> None:
        self._note_signal(number, frame)
        raise SIGTERMException

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Ask the other processes whether one of them has received a signal, or whether the position is to be saved."""
        if self._group is not None:
            self._ballot = torch.tensor([self.received or 0, trainer.is_global_zero and self._is_due()])
            operation = torch.distributed.ReduceOp.MAX
            self._agreement = torch.distributed.all_reduce(self._ballot, operation, self._group, async_op=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if any process has received a signal, or save the position if this is due.

        While gradients are accumulated, wait until the optimizer has used them.
        """
        self._note_progress()
        number, due = self.received or 0, self._is_due()
        if self._agreement is not None:
            self._agreement.wait()
            number, due = self._ballot.tolist()
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not trainer.is_last_batch:
            return
        if number:
            self.received = number
            self._stop_after_step(trainer)
        elif due and not trainer.is_last_batch and not validates_after(trainer, batch_idx):
            # Do not save between a step and its validation, because a resumed run would skip the validation.
            self._save(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the validation complete: Lightning would stop inside it, and a resumed run would measure only a part."""
        if self._stopping:
            stop_after_step(trainer, stop=False)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Record progress, so that `StopDeadline` does not end this process during a long validation."""
        self._note_progress()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop after the validation if a signal came before it."""
        if self._stopping:
            stop_after_step(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop after the epoch's own checkpoint if a signal came during or after the last step."""
        self._note_progress()
        self._saved = time.monotonic()
        if self._agree():
            self._stop_after_step(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the position if a signal stopped the run inside an epoch."""
        if self._training and isinstance(exception, SIGTERMException) and is_inside_epoch(trainer):
            self._save(trainer)
        self._training = False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop here if a signal came after the last epoch. From now on, a signal stops the run at once.

        Raises:
            SIGTERMException: If a signal came.
        """
        self._training = False
        if not self._agree():
            _install_handler(self._stop_now)
        self._require_no_stop()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From now on, stop at once if a signal comes. This replaces Lightning's handler, which only sets a flag."""
        _install_handler(self._stop_now)
        self._require_no_stop()

    def _stop_after_step(self, trainer: Trainer) -> None:
        self._stopping = True
        stop_after_step(trainer)

    def _require_no_stop(self) -> None:
        if self.received is not None:
            raise SIGTERMException

    def _agree(self) -> bool:
        """Return whether one of the processes has received a signal, and tell all processes which signal it was."""
        if self._group is not None:
            ballot = torch.tensor([self.received or 0])
            torch.distributed.all_reduce(ballot, torch.distributed.ReduceOp.MAX, self._group)
            self.received = int(ballot) or None
        return self.received is not None

    def _note_progress(self) -> None:
        if self._deadline is not None:
            self._deadline.note_progress()

    def _is_due(self) -> bool:
        return time.monotonic() - self._saved > self.every_seconds

    def _save(self, trainer: Trainer) -> None:
        with self._deadline.suspend() if self._deadline is not None else nullcontext():
            trainer.save_checkpoint(self.folder.locate_checkpoint("last"), weights_only=False)
        self._saved = time.monotonic()


def _install_handler(handler: Callable[[int, FrameType | None], Any] | int | None, *numbers: int) -> None:
    """Install a handler for the signals `numbers`, or for SIGINT and SIGTERM if none are given.

    Do nothing outside the main thread, because Python lets only the main thread install handlers.
    """
    if threading.current_thread() is threading.main_thread() and handler is not None:
        for number in numbers or SIGNALS:
            signal.signal(number, handler)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _end_others(trainer: Trainer) -> None:
    """Kill the processes that this one started, even if they are frozen."""
    launcher: Any = trainer.strategy.launcher
    if launcher is not None:
        launcher.kill(signal.SIGKILL)
