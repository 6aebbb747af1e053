"""Write the files that describe a run, before its first step.

These are the configuration, a description of how images are prepared (size, mean, standard deviation, class names), and
the teacher's weights if no other file has them.
"""

import itertools

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import save_file
from torch.nn import SyncBatchNorm

from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError
from kdlight.files import remove_drafts, replace_file
from kdlight.methods.base.distiller import Distiller
from kdlight.methods.supervised import Supervised
from kdlight.runs.folder import RunFolder
from kdlight.runs.preparation import Preparation
from kdlight.runs.trainer import report_schedule_length, require_batches


class RunFiles(Callback):
    """Checks for errors that would stop the run later, and then writes the files that describe the run.

    Args:
        folder: The run's folder.
        config: The resolved configuration as YAML.
    """

    def __init__(self, folder: RunFolder, config: str) -> None:
        self.folder = folder
        self.config = config

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the run's files.

        If the teacher is untrained or was given as an object (`Frozen`), the teacher's weights are written, too,
        because no other file has them.

        Raises:
            UserError: If there are too few images to train on, the validation interval is longer than an epoch, the
                test set is damaged, or batch norms are to be synchronised on a CPU.
        """
        if pl_module.device.type == "cpu" and any(isinstance(norm, SyncBatchNorm) for norm in pl_module.modules()):
            raise UserError("torch synchronises batch norms only on GPUs: leave --trainer.sync_batchnorm out")
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, ImageDataModule):
            require_batches(trainer, data)
            data.setup("test")  # so that a damaged test set is reported now, not after the last epoch
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
                with replace_file(self.folder.teacher) as draft:
                    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, draft)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print a line if the schedule of the learning rate has another length than the run."""
        report_schedule_length(trainer)

    def _write_config(self) -> None:
        """Write the configuration.

        If the run had a different configuration before, that one is kept as ``config.1.yaml``, or with the next free
        number.
        """
        before = self.folder.config.read_text(encoding="utf-8") if self.folder.config.is_file() else self.config
        if before != self.config:
            numbers = itertools.count(1)
            kept = next(file for file in map(self.folder.locate_earlier_config, numbers) if not file.exists())
            with replace_file(kept) as draft:
                draft.write_text(before, encoding="utf-8")
        with replace_file(self.folder.config) as draft:
            draft.write_text(self.config, encoding="utf-8")


def _check_test_images(trainer: Trainer, data: ImageDataModule) -> None:
    """Look for damaged test images before training. Only the first process looks; all raise its error."""
    complaint = None
    if trainer.is_global_zero:
        try:
            data.get_split("test").check_images()
        except UserError as error:
            complaint = str(error)
    complaint = trainer.strategy.broadcast(complaint)
    if complaint is not None:
        raise UserError(complaint)
