"""Find the folder in which a command works, and the checkpoint that it continues from or measures."""

from pathlib import Path
from typing import NamedTuple

from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_info

from kdlight.cli.teachers import require_file
from kdlight.errors import UserError
from kdlight.runs.changes import has_same_limits, require_unchanged
from kdlight.runs.claim import Claim
from kdlight.runs.folder import RunFolder, choose_folder, find_folder, find_latest

NAMED_CHECKPOINTS = ("last", "best")
AUTO = "auto"


class RunHasEndedError(SystemExit):
    """The run has already ended and there is nothing left to do; the command ends with exit code 0.

    Attributes:
        folder: The run.
    """

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(0)
        self.folder = folder


class RunPlace(NamedTuple):
    """The run's folder and the checkpoint that a command works with.

    Attributes:
        folder: The run's folder.
        checkpoint: The path of the checkpoint to continue from, or to measure.
        automatic: Whether ``--ckpt_path auto`` was given. The command then starts or continues the run, or does nothing
            if nothing is left to do. `claim` claims exactly `folder`, and creates it if it does not exist.
        existing: Whether `folder` belongs to an earlier run. If not, `claim` creates the first of ``folder``,
            ``folder-2``, … that does not exist. If `automatic` is true, `existing` has no effect.
    """

    folder: RunFolder
    checkpoint: str | None
    automatic: bool
    existing: bool

    def claim(self) -> Claim:
        """Claim the folder for a fit, so that no other process trains in it."""
        if self.automatic:
            return Claim.take_named(self.folder)
        return Claim.take_existing(self.folder) if self.existing else Claim.take_new(self.folder.path)


def find_place(command: str, config: Namespace, names: list[str]) -> RunPlace:
    """Find the run's folder and its checkpoint."""
    root, checkpoint = config.trainer.default_root_dir, config.ckpt_path
    base = Path(root) if root else choose_folder(names)
    if command == "fit":
        return find_place_of_fit(base, checkpoint, named=bool(root), option="--ckpt_path")
    folder = RunFolder(base) if root else None
    if checkpoint in NAMED_CHECKPOINTS or checkpoint is None:
        folder = folder or find_latest(base, checkpoint or "last")
        checkpoint = checkpoint and str(folder.locate_checkpoint(checkpoint))
    if checkpoint is not None:
        require_file(checkpoint, "train first: kdlight fit")
        folder = folder or find_folder(Path(checkpoint))
        rank_zero_info(f"measuring {checkpoint}")
    elif config.model.init_args.get("student_weights") is None:
        raise UserError(
            f"kdlight {command} would measure an untrained student: give --ckpt_path best (or last, or a path) or "
            "--model.student_weights"
        )
    return RunPlace(folder or RunFolder(base), checkpoint, automatic=False, existing=folder is not None)


def find_place_of_fit(base: Path, checkpoint: str | None, *, named: bool, option: str) -> RunPlace:
    """Find the folder of a fit, and the checkpoint from which it continues.

    Args:
        base: The folder that the user named, or the default folder. If it is the default, "last", "best" and "auto"
            are looked up in the newest of ``base``, ``base-2``, … that has the checkpoint.
        checkpoint: "last", "best", "auto" or a path; None: start a run.
        named: Whether the user named the folder.
        option: What the user calls `checkpoint`, for an error.

    Raises:
        MissingFileError: If the checkpoint does not exist.
    """
    if checkpoint is None:
        return RunPlace(RunFolder(base), None, automatic=False, existing=False)
    if checkpoint not in (*NAMED_CHECKPOINTS, AUTO):
        require_file(checkpoint, f"leave {option} out to start a run")
        folder = _find_own_folder(Path(checkpoint), base) if named else find_folder(Path(checkpoint))
        return RunPlace(folder or RunFolder(base), checkpoint, automatic=False, existing=folder is not None)
    name = "last" if checkpoint == AUTO else checkpoint
    folder = RunFolder(base) if named else find_latest(base, name)
    path = folder.locate_checkpoint(name)
    if checkpoint == AUTO:
        return RunPlace(folder, str(path) if path.is_file() else None, automatic=True, existing=True)
    require_file(str(path), f"leave {option} out to start a run")
    return RunPlace(folder, str(path), automatic=False, existing=True)


def _find_own_folder(checkpoint: Path, named: Path) -> RunFolder | None:
    """Return the folder that the user named if the checkpoint is in it; otherwise None, and the fit is a new run."""
    own = checkpoint.resolve().parent == RunFolder(named.resolve()).checkpoints
    return RunFolder(named) if own else None


def require_same(now: str, place: RunPlace, *, on_purpose: bool) -> None:
    """Refuse to continue a run with another configuration. End the command if the run has nothing left to do.

    Args:
        now: The configuration with which the command was started, as YAML.
        place: The run's folder and checkpoint.
        on_purpose: Whether to accept differences of the configurations, see `require_unchanged`.

    Raises:
        UserError: If the configurations differ in a way that is not accepted.
        RunHasEndedError: If the run has ended, and `now` has the same limits (of epochs, steps and time) as the run.
            This error is raised only with ``--ckpt_path auto``.
    """
    run = None if place.checkpoint is None else find_folder(Path(place.checkpoint))
    if run is None:
        return
    run.read_config()  # raises UserError if the file is damaged
    before = run.config.read_text(encoding="utf-8")
    require_unchanged(before, now, str(run.path), on_purpose=on_purpose)
    if place.automatic and run.has_ended() and has_same_limits(before, now):
        rank_zero_info(
            f"{run.path} is finished; to train it further, raise trainer.max_epochs; the schedule keeps its length "
            "(such as T_max), and after its end the learning rate may rise again"
        )
        raise RunHasEndedError(run)
