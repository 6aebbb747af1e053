"""A run that is told to stop keeps its position inside the epoch; long epochs keep it now and then."""

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

import torch
import torch.distributed
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from kdlight.methods.base.learner import validates_after
from kdlight.runs.folder import RunFolder

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stops(Callback):
    """Takes SIGTERM and Ctrl-C at the end of a step, in all processes at the same one; a second signal kills at once.

    Between two steps everything that the rest of the epoch depends on is in the checkpoint, or follows from the seed,
    the epoch and the step: no batch is seen twice or left out. After the epoch's last step the epoch ends first, with
    its validation, and the position is that of its own checkpoint.

    Lightning stops after a step, too, but saves nothing. Under DDP its handler takes part in a collective operation
    wherever the signal finds it, which mixes with those of the step, and it asks the first process before every step
    and waits for the device's answer. Here the processes agree over the CPU while the step computes.

    Args:
        folder: The run, whose ``last.ckpt`` holds the position.
        every_seconds: Save the position, too, when the last checkpoint is so old; most epochs are shorter.

    Attributes:
        received: The signal that the run was stopped by.
    """

    def __init__(self, folder: RunFolder, *, every_seconds: float = 1800.0) -> None:
        self.folder = folder
        self.every_seconds = every_seconds
        self.received: int | None = None
        self._saved = 0.0
        self._before: dict[int, Any] = {}
        self._group: Any = None
        self._ballot = torch.zeros(2, dtype=torch.long)
        self._agreement: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let a process end with the one that started it: where no message comes, NCCL would wait for minutes."""
        if trainer.world_size > 1 and trainer.local_rank > 0:
            threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over from Lightning; the first process knows which folder is the run's."""
        self.folder = trainer.strategy.broadcast(self.folder)
        self._saved = time.monotonic()
        if trainer.world_size > 1:
            self._group = torch.distributed.new_group(backend="gloo")
            loop: Any = trainer.fit_loop.epoch_loop
            loop._broadcast_sigterm_tensor = lambda: None
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Ask the other processes whether one of them was told to stop."""
        if self._group is not None:
            self._ballot = torch.tensor([self.received or 0, trainer.is_global_zero and self._due()])
            operation = torch.distributed.ReduceOp.MAX
            self._agreement = torch.distributed.all_reduce(self._ballot, operation, self._group, async_op=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop, or save the position, where all agree and no gradient is half accumulated."""
        number, due = self.received or 0, self._due()
        if self._agreement is not None:
            self._agreement.wait()
            number, due = self._ballot.tolist()
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not trainer.is_last_batch:
            return
        if number:
            self.received = number
            # Lightning raises its exception after this step, and after the validation where one is due.
            trainer._signal_connector.received_sigterm = True
        elif due and not trainer.is_last_batch and not validates_after(trainer, batch_idx):
            # Not between a step and its validation, which a resumed run would leave out.
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The epoch's own checkpoint follows."""
        self._saved = time.monotonic()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the position where a signal stopped the run inside an epoch."""
        if isinstance(exception, SIGTERMException) and inside_epoch(trainer):
            self._save(trainer)
        self._give_back()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the signals as they were."""
        self._give_back()

    def _due(self) -> bool:
        return time.monotonic() - self._saved > self.every_seconds

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder.checkpoint("last"), weights_only=False)
        self._saved = time.monotonic()

    def _give_back(self) -> None:
        if self.received is None:  # after a first signal the next one kills
            for number, handler in self._before.items():
                signal.signal(number, handler)
        self._before = {}


def inside_epoch(trainer: Trainer) -> bool:
    """Whether the epoch that was begun last has not ended."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    return bool(progress.processed < progress.started)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
