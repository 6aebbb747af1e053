"""Select the epochs that are saved as checkpoints: the last, and the best one on the validation split."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn

from kdlight.runs.folder import RunFolder


@runtime_checkable
class EpochFilter(Protocol):
    """A callback, such as `OptimalBrainDamage`, that decides which epochs may be selected as the best one."""

    def selectable(self, trainer: Trainer) -> bool:
        """Return whether the current network may become the run's best checkpoint."""


class RunCheckpoint(ModelCheckpoint):
    """Saves the last or the best epoch of a run under a fixed name; the best score survives a move of the run's folder.

    Lightning's `ModelCheckpoint` forgets the best score if a run is continued in a folder of another name, and then
    saves the next epoch as the best one even if it is worse.

    The best epoch is chosen among those that every `EpochFilter` callback permits. For example, the pruning callback
    `OptimalBrainDamage` permits only epochs after its last deletion of weights. Otherwise a more accurate network with
    more weights could be chosen.

    Args:
        folder: The run's folder.
        name: "last" or "best", the name of the file.
        options: Passed on to `ModelCheckpoint`.
    """

    def __init__(self, folder: RunFolder, name: str, **options: Any) -> None:
        super().__init__(dirpath=folder.checkpoints, filename=name, enable_version_counter=False, **options)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch as `ModelCheckpoint` does, but not as the best one if a callback forbids it."""
        if self.monitor is None or not _list_refusing(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch as `ModelCheckpoint` does, but not as the best one if a callback forbids it.

        By default, `ModelCheckpoint` saves in this hook if validation takes place more or less often than once per
        epoch.
        """
        if self.monitor is None or not _list_refusing(trainer):
            super().on_validation_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn if no epoch was selected because a callback forbade all of them."""
        super().on_train_end(trainer, pl_module)
        refusing = _list_refusing(trainer)
        if self.monitor is not None and refusing and not self.best_model_path:
            rank_zero_warn(
                f"no {self.filename}.ckpt is kept: {', '.join(refusing)} had not finished when the run ended after "
                f"{trainer.current_epoch} epochs; train for more epochs"
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score if the best checkpoint exists in the folder; otherwise start without a score."""
        assert self.dirpath is not None
        kept = Path(self.dirpath) / f"{self.filename}.ckpt"
        if kept.is_file():
            score = state_dict["best_model_score"]
            scores = {"best_model_score": score, "kth_value": state_dict["kth_value"]}
            paths = dict.fromkeys(("best_model_path", "kth_best_model_path", "last_model_path"), str(kept))
            ranked = {"best_k_models": {str(kept): score} if state_dict["best_k_models"] else {}}
            super().load_state_dict({**scores, **paths, **ranked, "dirpath": self.dirpath})
        elif self.monitor is not None and state_dict["best_model_score"] is not None:
            rank_zero_warn(f"{kept} is missing: the best epoch is selected among the epochs from here on")


def _list_refusing(trainer: Trainer) -> list[str]:
    """Return the names of the callbacks that forbid selecting the current epoch."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [
        type(callback).__name__
        for callback in callbacks
        if isinstance(callback, EpochFilter) and not callback.selectable(trainer)
    ]
