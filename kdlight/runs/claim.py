"""Ensure that only one run at a time writes into a folder: a run claims its folder and releases it at the end."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from kdlight.errors import UserError
from kdlight.runs.folder import RunFolder, add_number

LOCK = ".lock"
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
# The environment variable in which the first process writes the folder that it claimed. Processes that Lightning starts
# inherit this variable.
CLAIMED = "KDLIGHT_RUN_FOLDER"


class FolderInUseError(UserError):
    """Another process trains in the folder."""


class Claim:
    """The right to write into a run's folder. Use it as a context manager, or call `release`.

    The first process of a run holds a lock on a file in the folder. The operating system releases the lock when the
    process ends, even if it is killed. The other processes of the run take no lock. Those that Lightning starts read
    the folder from the environment; others, such as torchrun's, receive it from the first process when training starts.

    Attributes:
        folder: The run's folder.
    """

    def __init__(self, folder: RunFolder, lock: FileLock | None = None, made: Sequence[Path] = ()) -> None:
        self.folder = folder
        self._lock = lock
        self._made = made

    @classmethod
    def take_new(cls, base: Path) -> Self:
        """Create the first of ``base``, ``base-2``, ``base-3`` … that does not exist, so that no run is overwritten.

        Raises:
            UserError: If no folder can be created there.
        """
        if not is_first_process():
            return cls(RunFolder(Path(os.environ.get(CLAIMED, base))))
        number = 1
        while True:
            path = add_number(base, number)
            number += 1
            made = _make_folder(path)
            lock = _lock_folder(path) if made else None
            if lock is not None:
                os.environ[CLAIMED] = str(path)
                return cls(RunFolder(path), lock, made)

    @classmethod
    def take_existing(cls, folder: RunFolder) -> Self:
        """Claim the folder of an earlier run, to continue it.

        Raises:
            FolderInUseError: If another process still trains in the folder.
            UserError: If the folder cannot be written to.
        """
        if not is_first_process():
            return cls(folder)
        lock = _lock_folder(folder.path)
        if lock is None:
            raise FolderInUseError(
                f"another process is training in {folder.path}: expected a run that has ended; wait for the end of "
                "that run, or leave --ckpt_path out to start another run"
            )
        os.environ[CLAIMED] = str(folder.path)
        return cls(folder, lock)

    @classmethod
    def take_named(cls, folder: RunFolder) -> Self:
        """Claim this very folder. It is created if it does not exist; otherwise it has to hold a run or be empty.

        Raises:
            FolderInUseError: If another process trains in the folder.
            UserError: If the folder cannot be created or written to, or holds something that is not a run.
        """
        if not is_first_process():
            return cls(folder)
        made = _make_folder(folder.path)
        claim = cls.take_existing(folder)
        if not made and not folder.config.is_file() and any(file.name != LOCK for file in folder.path.iterdir()):
            claim.release()
            raise UserError(f"{folder.path} holds no run: expected a run's folder, or a path that does not exist")
        claim._made = made
        return claim

    def release(self) -> None:
        """Release the lock. If the folder was created for a run that did not begin, remove the folder."""
        if self._lock is None:
            return
        if self._made and not _has_begun(self.folder):
            _remove_folder(self.folder, self._made)
        self._lock.release()
        self._lock = None
        os.environ.pop(CLAIMED, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def is_first_process() -> bool:
    """Return whether this process writes the run's files: the others have a rank above 0 in their environment."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def _make_folder(path: Path) -> list[Path]:
    """Create a folder and its parents. Return those that were created, innermost first; [] if the folder exists."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file: expected a folder for the run; name another path")
    missing = [path, *(parent for parent in path.parents if not parent.exists())]
    try:
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.mkdir()
            except FileExistsError:
                return []
            except FileNotFoundError:
                if path.parent.exists():
                    raise
                continue  # another process, whose run did not begin, has just removed the parent
            return missing
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{path}: a run's folder cannot be made there ({reason}); name another folder with "
            "--trainer.default_root_dir"
        ) from error


def _lock_folder(path: Path) -> FileLock | None:
    """Acquire the lock of a folder; return None if another process holds it."""
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    except OSError as error:
        raise UserError(
            f"{path / LOCK} cannot be locked ({error.strerror}): expected a run's folder that can be written to; "
            "copy the run to another folder, and name that folder: --trainer.default_root_dir FOLDER"
        ) from error
    return lock


def _has_begun(folder: RunFolder) -> bool:
    """Return whether a folder holds more than the files that are written before the first step."""
    before = {folder.path / LOCK, folder.checkpoints, *_list_first_files(folder)}
    return any(file not in before for file in folder.path.rglob("*"))


def _list_first_files(folder: RunFolder) -> tuple[Path, ...]:
    """Return the files that a run writes before its first step."""
    return folder.config, folder.teacher, folder.preparation


def _remove_folder(folder: RunFolder, made: Sequence[Path]) -> None:
    with suppress(OSError):  # a folder into which another run has put something is not removed
        if folder.checkpoints.is_dir():
            folder.checkpoints.rmdir()
        for file in (*_list_first_files(folder), folder.path / LOCK):
            file.unlink(missing_ok=True)
        for path in made:
            path.rmdir()
