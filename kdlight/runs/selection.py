"""Which epochs of a run are kept as checkpoints: the last, and the one that was best on the validation split."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn

from kdlight.runs.folder import RunFolder


class RunCheckpoint(ModelCheckpoint):
    """Keeps the last epoch, or the best one, of a run under one name, wherever the run's folder lies by now.

    Lightning's own forgets the best score when a run goes on in a folder of another name, and the next epoch, however
    bad, takes the place of the best.

    Args:
        folder: The run.
        name: "last" or "best", the name of the file.
        options: `ModelCheckpoint`'s.
    """

    def __init__(self, folder: RunFolder, name: str, **options: Any) -> None:
        super().__init__(dirpath=folder.checkpoints, filename=name, enable_version_counter=False, **options)

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
