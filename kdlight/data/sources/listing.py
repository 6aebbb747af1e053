"""List the images of a data set that has one folder per class, and compare their number with the published number."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from kdlight.errors import MissingFileError, UserError


class Listing(NamedTuple):
    """Image files and their classes.

    Attributes:
        paths: The paths of the n files relative to a root folder. `list_images` sorts them by class, then by subfolder,
            then by name.
        target: The class of each file, (n,) int64.
    """

    paths: list[str]
    target: Tensor


def list_classes(folder: Path) -> tuple[str, ...]:
    """List the names of the class folders below `folder`, in the order of torchvision's ``ImageFolder``.

    Hidden folders, ``__pycache__`` and ``__MACOSX`` do not count as classes.

    Raises:
        MissingFileError: If there are no class folders.
        UserError: If the folder cannot be read, or a class folder is a link to nothing.
    """
    names = []
    try:
        for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
            if not _is_class(entry.name):
                continue
            if entry.is_symlink() and not entry.exists():
                raise UserError(f"{entry.absolute()} is a link to nothing: expected a class folder; mend or remove it")
            if entry.is_dir():
                names.append(entry.name)
    except OSError as error:
        raise _make_access_error(error, folder) from error
    if not names:
        missing = folder.parent if not folder.parent.exists() else folder
        what = f"{folder.absolute()} has no class folders" if folder.exists() else f"there is no {missing.absolute()}"
        raise MissingFileError(
            f"{what}: set data_dir to the folder that holds {folder.name}/ or, for images of your own, "
            "to the folder of class folders"
        )
    return tuple(names)


def list_images(root: Path, folder: str, classes: Sequence[str]) -> Listing:
    """List the images below ``root/folder/<class>/``, in the order of torchvision's ``ImageFolder``.

    A file counts as an image if it has one of torchvision's ``IMG_EXTENSIONS``. Hidden files and folders, such as the
    ``._`` files of macOS and ``.ipynb_checkpoints``, are left out. If classes have no image, a warning gives their
    number and names the first five.

    Raises:
        MissingFileError: If the folder is missing or has no image at all.
        UserError: If a class folder is not among `classes`, or cannot be read.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS

    unknown = sorted(set(list_classes(root / folder)) - set(classes))
    if unknown:
        raise UserError(
            f"{(root / folder).absolute()} has the class folder {unknown[0]}, which is none of the {len(classes)} "
            "classes: take it out, or set data_dir to another data set"
        )
    found = [_list_class(root / folder / name, IMG_EXTENSIONS) for name in classes]
    if not any(found):
        raise MissingFileError(
            f"{(root / folder).absolute()} has no images ({', '.join(IMG_EXTENSIONS)}): put some there"
        )
    empty = [name for name, paths in zip(classes, found, strict=True) if not paths]
    if empty:
        rank_zero_warn(
            f"{(root / folder).absolute()} has no image of {len(empty)} of the {len(classes)} classes: "
            f"{', '.join(empty[:5])}{', ...' if len(empty) > 5 else ''}"
        )
    # The paths get the same separators on every system, so that the hash of the training images, which includes the
    # paths, is the same everywhere.
    paths = [path.relative_to(root).as_posix() for of_class in found for path in of_class]
    counts = torch.tensor([len(of_class) for of_class in found])
    return Listing(paths, torch.arange(len(classes)).repeat_interleave(counts))


def _list_class(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the images of a class. A folder that exists but cannot be read is an error; torchvision would skip it."""

    def refuse(error: OSError) -> None:
        if folder.exists():
            raise _make_access_error(error, folder) from error

    paths = []
    for parent, _, names in sorted(os.walk(folder, onerror=refuse, followlinks=True)):
        within = Path(parent)
        if any(part.startswith(".") for part in within.relative_to(folder).parts):
            continue
        shown = sorted(name for name in names if not name.startswith("."))
        paths += [within / name for name in shown if name.lower().endswith(suffixes)]
    return paths


def _is_class(name: str) -> bool:
    return not name.startswith(".") and name not in ("__pycache__", "__MACOSX")


def _make_access_error(error: OSError, folder: Path) -> UserError:
    return UserError(
        f"{error.filename or folder} cannot be read ({error.strerror}): expected a folder of images; "
        "give yourself the right to read it, or take it out of the data set"
    )


def check_classes(folder: Path, classes: Sequence[str], num_classes: int) -> None:
    """Check that a data set has as many classes as the networks.

    Raises:
        UserError: If the two numbers differ.
    """
    if len(classes) != num_classes:
        raise UserError(
            f"{folder.absolute()} has {len(classes)} classes, but num_classes is {num_classes}: "
            f"put the whole data set there, or set num_classes: {len(classes)}"
        )


def check_count(what: str, found: int, expected: int, *, accept_modified: bool, remedy: str) -> None:
    """Compare the number of images with the published number. Refuse a difference, or warn if the user accepts it.

    Args:
        what: The folder, class or list whose images were counted, for the message.
        found: The number of images that were found.
        expected: The published number.
        accept_modified: If the numbers differ, warn instead of raising an error.
        remedy: What the user can do about a difference, for the message.

    Raises:
        UserError: If the numbers differ and `accept_modified` is false.
    """
    if found == expected:
        return
    if not accept_modified:
        raise UserError(
            f"{what} is not as published: expected {expected} images, found {found}; {remedy}, or set "
            "accept_modified: true to use it as it is"
        )
    rank_zero_warn(
        f"not the published data set, accepted because accept_modified is true: {what} has {found} images instead of "
        f"{expected}"
    )
