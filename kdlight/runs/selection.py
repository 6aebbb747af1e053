"""Which epochs of a run are kept as checkpoints: the last, and the one that was best on the validation split."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn

from kdlight.runs.folder import RunFolder


@runtime_checkable
class SelectsEpochs(Protocol):
    """A callback that changes the network while it trains, so that not every epoch ends with what was asked for."""

    def selectable(self, trainer: Trainer) -> bool:
        """Tell whether the network as it is now may become the run's best checkpoint."""


class RunCheckpoint(ModelCheckpoint):
    """Keeps the last epoch, or the best one, of a run under one name, wherever the run's folder lies by now.

    Lightning's own forgets the best score when a run goes on in a folder of another name, and the next epoch, however
    bad, takes the place of the best.

    The best epoch is chosen among those that every `SelectsEpochs` callback agrees to: under `OptimalBrainDamage`
    among the epochs whose network is pruned, which may be less accurate than the whole network was.

    Args:
        folder: The run.
        name: "last" or "best", the name of the file.
        options: `ModelCheckpoint`'s.
    """

    def __init__(self, folder: RunFolder, name: str, **options: Any) -> None:
        super().__init__(dirpath=folder.checkpoints, filename=name, enable_version_counter=False, **options)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch, unless a callback does not agree to its being the best."""
        if self.monitor is None or not _refusing(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do the same where validation is not once an epoch, after which Lightning saves here."""
        if self.monitor is None or not _refusing(trainer):
            super().on_validation_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn where no epoch could be selected, because a callback agreed to none."""
        super().on_train_end(trainer, pl_module)
        refusing = _refusing(trainer)
        if self.monitor is not None and refusing and not self.best_model_path:
            rank_zero_warn(
                f"no {self.filename}.ckpt is kept: {', '.join(refusing)} had not finished when the run ended after "
                f"{trainer.current_epoch} epochs; train for more epochs"
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the score of the file that lies beside the checkpoint; without that file there is none to beat."""
        assert self.dirpath is not None
        kept = Path(self.dirpath) / f"{self.filename}.ckpt"
        if kept.is_file():
            score = state_dict["best_model_score"]
            scores = {"best_model_score": score, "kth_value": state_dict["kth_value"]}
            paths = dict.fromkeys(("best_model_path", "kth_best_model_path", "last_model_path"), str(kept))
            ranked = {"best_k_models": {str(kept): score} if state_dict["best_k_models"] else {}}
            super().load_state_dict({**scores, **paths, **ranked, "dirpath": self.dirpath})
        elif self.monitor is not None and state_dict["best_model_score"] is not None:
            rank_zero_warn(f"{kept} is missing: the best epoch is selected among those that follow")


def _refusing(trainer: Trainer) -> list[str]:
    """Name the callbacks that do not agree to the selection of the present epoch."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [
        type(callback).__name__
        for callback in callbacks
        if isinstance(callback, SelectsEpochs) and not callback.selectable(trainer)
    ]
