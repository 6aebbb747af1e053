"""Write a run's checkpoints to the disk and read them back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from kdlight.errors import UserError
from kdlight.files import replace_file
from kdlight.models.weights import check_records

OTHERWISE = "give another checkpoint of the run (--ckpt_path best), or leave --ckpt_path out to start again"
SHOWN = 160  # how many characters of torch's message are shown


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically.

    Lightning 2.6 serialises a checkpoint in memory, which needs a second copy of the model. It then writes the
    checkpoint into the system's temporary folder and moves the file. If the run's folder is on another file system, as
    is usual on a cluster, the move is a copy that overwrites the previous checkpoint. If the process is killed or the
    disk fills up during the copy, the run's folder has neither the previous checkpoint nor a complete new one.
    Lightning also does not wait until the data are on the disk. This class writes a draft beside the checkpoint, waits
    until the draft is on the disk, and renames it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            DiskFullError: If there is no space on the disk; the last complete checkpoint stays.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as draft, draft.open("wb") as stream:
            torch.save(checkpoint, stream)

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            UserError: If the file is not a complete checkpoint of a run, or its bytes do not match their checksums.
        """
        if Path(path).is_file():  # a checkpoint of FSDP is a folder, which `check_records` cannot read
            try:
                check_records(path)
            except UserError as error:
                raise UserError(f"{error}; or {OTHERWISE}") from error
        if Path(path).suffix == ".safetensors":
            raise _refuse_checkpoint(path, "safetensors")
        try:
            content = super().load_checkpoint(path, *args, **options)
        except OSError:
            raise
        except Exception as error:  # a file of another kind, or a damaged one, can raise any error
            raise UserError(
                f"{path} cannot be read: expected a whole checkpoint of kdlight, got a file of "
                f"{Path(path).stat().st_size} bytes that is truncated or of another kind; {OTHERWISE}"
            ) from error
        if not isinstance(content, dict) or not {"state_dict", "pytorch-lightning_version"} <= content.keys():
            raise _refuse_checkpoint(path, f"a file with a {type(content).__name__}")
        return content


@contextmanager
def report_misfit(checkpoint: str | None) -> Iterator[None]:
    """Turn torch's error about a checkpoint that does not fit the networks into a short message for the user.

    Args:
        checkpoint: The path of the checkpoint that is loaded in the ``with`` block.

    Raises:
        UserError: If names or shapes of the checkpoint's weights are not those of the networks.
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
            "expected the method and the networks of the run that wrote the checkpoint, as in the config.yaml of that "
            "run; to start another run from the checkpoint's student: --model.student_weights PATH"
        ) from error


def _refuse_checkpoint(path: str | Path, got: str) -> UserError:
    return UserError(
        f"{path} is no checkpoint of a run: expected a last.ckpt or best.ckpt that `kdlight fit` wrote, got {got}; "
        "weights alone are given with --model.student_weights PATH"
    )
