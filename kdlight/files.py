"""Write files atomically, so that neither a crash nor a full disk leaves half a file. Expand ``~`` in paths."""

import argparse
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kdlight.errors import UserError

PART = ".part"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READ_ONLY = errno.EROFS


class DiskFullError(UserError, OSError):
    """There is no space left for a file, or its file system is read-only."""


def expand_home(value: Any) -> Any:
    """Replace the ``~`` at the beginning of every path in a configuration by the home folder.

    Args:
        value: Text, or lists and mappings that contain text; lists and mappings are changed in place. Every text that
            begins with ``~`` is taken for a path; all other values stay as they are.
    """
    if isinstance(value, str):
        return os.path.expanduser(value)
    items = enumerate(value) if isinstance(value, list) else value.items() if hasattr(value, "items") else ()
    for key, item in list(items):
        value[key] = expand_home(item)
    return value


def parse_path(text: str) -> Path:
    """Return the path given as a command's argument, with ``~`` expanded even if the shell did not expand it.

    Raises:
        argparse.ArgumentTypeError: If the text is empty, because ``Path("")`` would be the working folder.
    """
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got ''")
    return Path(expand_home(text))


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield the path of a draft to write to. At the end of the ``with`` block the draft replaces the file.

    The replacement waits until the draft is on the disk. If writing fails, the draft is removed and the old file stays.

    Args:
        path: The file, in a folder that exists.

    Raises:
        UserError: If the path is a folder, a pipe or a device.
        DiskFullError: If there is no space left, the user's quota is used up, or the file system is read-only.
    """
    if path.exists() and not path.is_file():  # for root, os.replace would succeed even on a device such as /dev/null
        raise UserError(
            f"{path} is a folder, a pipe or a device: expected a file that can be replaced; name another path"
        )
    draft = path.with_name(path.name + PART)
    try:
        yield draft
        _flush(draft)
        os.replace(draft, path)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        cause = _find_full_disk(error)
        if cause is None:
            raise
        what = "the file system is read-only" if cause.errno == READ_ONLY else "disk is full"
        there = "its last complete version is still there" if path.exists() else "no earlier version exists"
        remedy = "name another folder" if cause.errno == READ_ONLY else "free space"
        raise DiskFullError(
            f"{what}: {path} was not written ({cause.strerror}), {there}; {remedy} and "
            f"{'go on with --ckpt_path last' if path.exists() and path.suffix == '.ckpt' else 'give the command again'}"
        ) from error


def remove_drafts(folder: Path) -> None:
    """Remove the drafts that `replace_file` left in a folder because its process was killed."""
    for draft in folder.glob(f"*{PART}"):
        if draft.is_file():
            draft.unlink()


def _flush(path: Path) -> None:
    """Wait until a file's content is on the disk. Otherwise a power failure after `os.replace` could leave it empty."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _find_full_disk(error: BaseException | None) -> OSError | None:
    """Return the error that says that the disk is full or read-only; None if there is no such error.

    The causes of `error` are searched, too, because torch wraps errors of the disk in errors of its own.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in (*FULL, READ_ONLY):
            return error
        error = error.__cause__ or error.__context__
    return None
