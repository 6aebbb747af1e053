"""The instrument that every run has: its configuration, throughput, resumed log, an untrained teacher's weights."""

import itertools
import time
from typing import Any

import torch
import torch.distributed
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import save_file
from torch.nn import SyncBatchNorm

from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError
from kdlight.files import remove_drafts, replacing
from kdlight.internals import end_restart, epoch_row, is_inside_epoch, is_resumed_at_epoch_end
from kdlight.methods.base.distiller import Distiller
from kdlight.methods.base.learner import Learner
from kdlight.methods.supervised import Supervised
from kdlight.processes import gather_object
from kdlight.runs.changes import require_same_optimizers
from kdlight.runs.folder import RunFolder
from kdlight.runs.metrics_csv import MetricsCSV
from kdlight.runs.preparation import Preparation
from kdlight.runs.trainer import require_batches

SAVED = "epoch_so_far"


class RunRecord(Callback):
    """Logs ``seconds`` and ``images_per_second`` of each training epoch, validation and instruments left out.

    A checkpoint holds what Lightning leaves out of it: the row of its epoch, which reaches ``metrics.csv`` only after
    the checkpoint, and inside an epoch what each process has summed up so far.

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
        self._resumed: dict[str, Any] | None = None
        self._optimizers: list[dict[str, Any]] | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the epoch's row, and inside an epoch its sums."""
        assert isinstance(pl_module, Learner)
        row = dict(self.metrics.rows.get(trainer.current_epoch, {}))
        processes = []
        if is_inside_epoch(trainer):
            seconds = self._ended - self._started
            processes = gather_object(
                {"seconds": seconds, "images": self._images, "means": pl_module.epoch_means.state_dict()}
            )
        elif trainer.training:
            row |= epoch_row(trainer)
        batches = trainer.num_training_batches
        checkpoint[SAVED] = {"row": row, "processes": processes, "batches": batches}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the logged epochs that the checkpoint holds.

        Raises:
            UserError: If it stands inside an epoch of another number of processes, or is no run's.
        """
        if trainer.state.fn != "fit":
            return
        if SAVED not in checkpoint:
            raise UserError(
                f"the checkpoint has no '{SAVED}': expected one that kdlight fit of this version wrote; start from its "
                "weights instead: --model.student_weights PATH"
            )
        self._resumed = checkpoint[SAVED]
        self._optimizers = checkpoint.get("optimizer_states", [])
        self.metrics.resume(checkpoint["epoch"], self._resumed["row"])
        processes = len(self._resumed["processes"])
        if processes not in (0, trainer.world_size):
            raise UserError(
                f"the checkpoint stands inside epoch {checkpoint['epoch']} of {processes} processes: expected as many, "
                f"got {trainer.world_size}; go on with --trainer.devices {processes}, or from --ckpt_path best"
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the configuration, and an untrained teacher: its weights exist nowhere else.

        Raises:
            UserError: If the checkpoint's optimizer is another one, there are too few images to train on, or batch
                norms are to be synchronised on a CPU.
        """
        if self._optimizers is not None:
            require_same_optimizers(self._optimizers, trainer.optimizers)
            self._optimizers = None
        if pl_module.device.type == "cpu" and any(isinstance(norm, SyncBatchNorm) for norm in pl_module.modules()):
            raise UserError("torch synchronises batch norms on GPUs alone: leave --trainer.sync_batchnorm out")
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, ImageDataModule):
            require_batches(trainer, data)
            data.setup("test")  # A test set that is not as published is said now, not after the last epoch.
            _check_test_images(trainer, data)
        for logger in trainer.loggers:
            logger.log_hyperparams(yaml.safe_load(self.config))
        if trainer.is_global_zero:
            self.folder.checkpoints.mkdir(parents=True, exist_ok=True)
            for folder in (self.folder.path, self.folder.checkpoints):
                remove_drafts(folder)
            self._write_config()
            if isinstance(data, ImageDataModule):
                Preparation.of(data).write(self.folder.preparation)
            if isinstance(pl_module, Distiller | Supervised) and pl_module.keeps_teacher and pl_module.teacher:
                tensors = pl_module.teacher.model.state_dict()
                with replacing(self.folder.teacher) as draft:
                    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, draft)

    def _write_config(self) -> None:
        """Write the configuration; one that the run had before and that differs is kept beside it."""
        before = self.folder.config.read_text(encoding="utf-8") if self.folder.config.is_file() else self.config
        if before != self.config:
            numbers = itertools.count(1)
            kept = next(file for file in map(self.folder.earlier_config, numbers) if not file.exists())
            with replacing(kept) as draft:
                draft.write_text(before, encoding="utf-8")
        with replacing(self.folder.config) as draft:
            draft.write_text(self.config, encoding="utf-8")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the sums of an epoch that the checkpoint stands inside.

        Raises:
            UserError: If the epoch has another number of steps now.
        """
        resumed, self._resumed = self._resumed, None
        if resumed is None:
            return
        if is_resumed_at_epoch_end(trainer):
            _step_plateaus(trainer, resumed["row"])
        if not resumed["processes"]:
            return
        if resumed["batches"] != trainer.num_training_batches:
            raise UserError(
                f"the checkpoint stands inside epoch {trainer.current_epoch} of {resumed['batches']} steps, the data "
                f"give {trainer.num_training_batches} now: go on with the batch size and the data of that run"
            )
        assert isinstance(pl_module, Learner)
        own = resumed["processes"][trainer.global_rank]
        self._images, self._started = own["images"], time.perf_counter() - own["seconds"]
        self._ended = time.perf_counter()
        pl_module.epoch_means.load_state_dict(own["means"], pl_module.device)
        end_restart(trainer)

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


def _check_test_images(trainer: Trainer, data: ImageDataModule) -> None:
    """Find a damaged test image before training; the first process looks for all."""
    complaint = None
    if trainer.is_global_zero:
        try:
            data.split("test").check()
        except UserError as error:
            complaint = str(error)
    complaint = trainer.strategy.broadcast(complaint)
    if complaint is not None:
        raise UserError(complaint)


def _step_plateaus(trainer: Trainer, row: dict[str, float]) -> None:
    """Take the step of schedules that follow a metric, which Lightning takes after the epoch's checkpoint."""
    for config in trainer.lr_scheduler_configs:
        if config.reduce_on_plateau and config.interval == "epoch":
            scheduler: Any = config.scheduler
            scheduler.step(row[str(config.monitor)])
