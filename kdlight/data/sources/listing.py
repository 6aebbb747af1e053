"""Class folders in torchvision's layout: listed, counted, compared with what was published."""

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
        paths: relative to the root that was listed, in the order of the classes and of their names.
        target: (n,) int64 class.
    """

    paths: list[str]
    target: Tensor


def list_classes(folder: Path) -> tuple[str, ...]:
    """The names of the class folders below `folder`, sorted, as torchvision's ``ImageFolder`` counts them.

    Raises:
        MissingFileError: where there are none.
    """
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    if not names:
        raise MissingFileError(
            f"{folder.absolute()} has no class folders: set data_dir to the folder that holds {folder.name}/"
        )
    return tuple(names)


def list_images(root: Path, folder: str, classes: Sequence[str]) -> Listing:
    """Lists the images below ``root/folder/<class>/`` with torchvision's suffixes, whatever lies between.

    Raises:
        MissingFileError: where the folder is missing or has no image at all.
        UserError: where it has a class folder that is not among `classes`.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

    unknown = sorted(set(list_classes(root / folder)) - set(classes))
    if unknown:
        raise UserError(
            f"{(root / folder).absolute()} has the class folder {unknown[0]}, which is none of the {len(classes)} "
            "classes: take it out, or set data_dir to another data set"
        )
    places = {name: place for place, name in enumerate(classes)}
    found = make_dataset(str(root / folder), places, extensions=IMG_EXTENSIONS, allow_empty=True)
    if not found:
        raise MissingFileError(
            f"{(root / folder).absolute()} has no images ({', '.join(IMG_EXTENSIONS)}): put some there"
        )
    # As paths are compared by train_sha256, they are the same on every system.
    paths = [Path(path).relative_to(root).as_posix() for path, _ in found]
    return Listing(paths, torch.tensor([target for _, target in found]))


def check_classes(folder: Path, classes: Sequence[str], num_classes: int) -> None:
    """Compares the classes that were found with those that networks are built for.

    Raises:
        UserError: where their numbers differ.
    """
    if len(classes) != num_classes:
        raise UserError(
            f"{folder.absolute()} has {len(classes)} classes, but num_classes is {num_classes}: "
            f"put the whole data set there, or set num_classes: {len(classes)}"
        )


def check_count(what: str, found: int, expected: int, *, accept_modified: bool, mend: str) -> None:
    """Compares a number of images with the published one; another is an error, or a warning where it is accepted.

    Args:
        what: the folder or list that was counted, in words.
        found: the number there.
        expected: the published number.
        accept_modified: takes other numbers, with a warning.
        mend: what puts it right.

    Raises:
        UserError: where the numbers differ and that is not accepted.
    """
    if found == expected:
        return
    if not accept_modified:
        raise UserError(
            f"{what} is not as published: expected {expected} images, found {found}; {mend}, or set "
            "accept_modified: true to use it as it is"
        )
    rank_zero_warn(
        f"not the published data set, accepted (accept_modified: true): {what} has {found} images instead of {expected}"
    )
