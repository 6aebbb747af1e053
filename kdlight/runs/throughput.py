"""Measure how fast a run trains: seconds and images per second of each epoch."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Logs ``seconds`` and ``images_per_second`` of each epoch, from its start to the end of its last step.

    What follows the last step, such as validation and the measurements of `PIDMonitor`, is not counted. A validation
    between two steps of the epoch is counted.
    """

    def __init__(self) -> None:
        self._started = 0.0
        self._ended = 0.0
        self._images = 0

    def count_so_far(self) -> dict[str, Any]:
        """Return the ``seconds`` and ``images`` of this process in the epoch so far."""
        return {"seconds": self._ended - self._started, "images": self._images}

    def resume(self, so_far: dict[str, Any]) -> None:
        """Continue an interrupted epoch. The seconds and images before the interruption are counted, too."""
        self._ended = time.perf_counter()
        self._images, self._started = so_far["images"], self._ended - so_far["seconds"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._images = 0
        self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images. After the epoch's last batch, wait until the GPU is done, so that all its work is timed."""
        self._images += len(batch.target)
        if trainer.is_last_batch and torch.cuda.is_available():
            torch.cuda.synchronize()
        self._ended = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the seconds, and the images per second of all processes together."""
        seconds = self._ended - self._started
        if self._images:
            pl_module.log("seconds", seconds, sync_dist=True)
            pl_module.log("images_per_second", trainer.world_size * self._images / seconds, sync_dist=True)
