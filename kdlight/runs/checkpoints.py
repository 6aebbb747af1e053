"""How a run's checkpoints get on the disk and back."""

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from kdlight.errors import UserError
from kdlight.files import replacing
from kdlight.models.weights import check_records


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all.

    Lightning 2.6's own writer makes the bytes in memory, a second copy of the model, puts them into a file in the
    system's temporary folder and moves that. Where the run's folder is another file system, as it mostly is on a
    cluster, the move is a copy on top of the last checkpoint: a kill or a full disk in its midst leaves neither. Nor
    does it wait for the disk. Here the draft lies beside the checkpoint and takes its place by a rename.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            DiskFullError: If there is no space; the last whole checkpoint stays.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft, draft.open("wb") as stream:
            torch.save(checkpoint, stream)

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            UserError: If it is no whole checkpoint, or its bytes do not match their checksums.
        """
        if Path(path).is_file():  # FSDP saves folders
            check_records(path)
        try:
            return super().load_checkpoint(path, *args, **options)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise UserError(
                f"{path} cannot be read: expected a whole checkpoint of kdlight, got a file of "
                f"{Path(path).stat().st_size} bytes that is truncated or something else; give another one "
                "(--ckpt_path best), or leave --ckpt_path out to start again"
            ) from error
