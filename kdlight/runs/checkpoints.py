"""How a run's checkpoints get on the disk and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from kdlight.errors import UserError
from kdlight.files import replacing
from kdlight.models.weights import check_records

OTHERWISE = "give another checkpoint of the run (--ckpt_path best), or leave --ckpt_path out to start again"
SHOWN = 160  # characters of torch's message


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
            UserError: If it is no whole checkpoint of a run, or its bytes do not match their checksums.
        """
        if Path(path).is_file():  # FSDP saves folders
            try:
                check_records(path)
            except UserError as error:
                raise UserError(f"{error}; or {OTHERWISE}") from error
        if Path(path).suffix == ".safetensors":
            raise _no_checkpoint(path, "safetensors")
        try:
            content = super().load_checkpoint(path, *args, **options)
        except OSError:
            raise
        except Exception as error:  # reading something else, or a damaged file, can raise anything
            raise UserError(
                f"{path} cannot be read: expected a whole checkpoint of kdlight, got a file of "
                f"{Path(path).stat().st_size} bytes that is truncated or something else; {OTHERWISE}"
            ) from error
        if not isinstance(content, dict) or not {"state_dict", "pytorch-lightning_version"} <= content.keys():
            raise _no_checkpoint(path, f"a file with a {type(content).__name__}")
        return content


@contextmanager
def report_misfit(checkpoint: str | None) -> Iterator[None]:
    """Turn torch's error for a checkpoint of other networks into one line for the user.

    Args:
        checkpoint: The path of the checkpoint that is loaded meanwhile.

    Raises:
        UserError: If names or shapes of the weights differ.
    """
    try:
        yield
    except RuntimeError as error:
        first, *details = str(error).splitlines()
        if not first.startswith("Error(s) in loading state_dict for"):
            raise
        said = details[0].strip()[:SHOWN] if details else "the weights differ"
        raise UserError(
            f"{checkpoint} does not fit the networks of this command: {said}\n"
            "expected the method and the networks of the run that wrote it, as its config.yaml names them; to start "
            "another run from its student: --model.student_weights PATH"
        ) from error


def _no_checkpoint(path: str | Path, got: str) -> UserError:
    return UserError(
        f"{path} is no checkpoint of a run: expected a last.ckpt or best.ckpt that kdlight fit wrote, got {got}; "
        "weights alone are given with --model.student_weights PATH"
    )
