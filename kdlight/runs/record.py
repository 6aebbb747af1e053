"""The instrument that every run has: its configuration, throughput, resumed log, an untrained teacher's weights."""

import time
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import save_file

from kdlight.methods.distiller import Distiller
from kdlight.runs.folder import RunFolder
from kdlight.runs.metrics_csv import MetricsCSV


class RunRecord(Callback):
    """Logs ``seconds`` and ``images_per_second`` of each training epoch, validation and instruments left out.

    Args:
        folder: Where the run keeps its files.
        metrics: The run's log, which goes on where a resumed checkpoint ends.
        config: The resolved configuration as YAML.
    """

    def __init__(self, folder: RunFolder, metrics: MetricsCSV, config: str) -> None:
        self.folder = folder
        self.metrics = metrics
        self.config = config
        self._started = 0.0
        self._ended = 0.0
        self._images = 0

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the logged epochs that the checkpoint holds."""
        if trainer.state.fn == "fit":
            self.metrics.resume(completed_epochs=checkpoint["epoch"] + 1)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the configuration, and an untrained teacher: its weights exist nowhere else."""
        for logger in trainer.loggers:
            logger.log_hyperparams(yaml.safe_load(self.config))
        if trainer.is_global_zero:
            self.folder.path.mkdir(parents=True, exist_ok=True)
            self.folder.config.write_text(self.config, encoding="utf-8")
            if isinstance(pl_module, Distiller) and pl_module.untrained_teacher:
                tensors = pl_module.teacher.model.state_dict()
                save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, self.folder.teacher)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._images = 0
        self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images; after the last batch the device is waited for, once an epoch."""
        self._images += len(batch.target)
        if trainer.is_last_batch and torch.cuda.is_available():
            torch.cuda.synchronize()
        self._ended = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what the epoch took; every process of a distributed run trains its share at the same time."""
        seconds = self._ended - self._started
        if self._images:
            pl_module.log("seconds", seconds, sync_dist=True)
            pl_module.log("images_per_second", trainer.world_size * self._images / seconds, sync_dist=True)
