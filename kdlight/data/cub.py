"""Caltech-UCSD Birds-200-2011.

C. Wah, S. Branson, P. Welinder, P. Perona, S. Belongie, The Caltech-UCSD Birds-200-2011 Dataset, 2011,
https://www.vision.caltech.edu/datasets/cub_200_2011/
"""

__all__ = ["CUBDataModule"]

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch

from kdlight.data.base.files_module import ImageFilesArguments, ImageFilesDataModule
from kdlight.data.sources.archives import Archive, describe_remedy, fetch_archive
from kdlight.data.sources.image_files import ImageFiles
from kdlight.data.sources.listing import Listing, check_count
from kdlight.errors import MissingFileError, UserError
from kdlight.ranges import NonNegativeInt
from kdlight.unpack import Unpack

ARCHIVES = (
    Archive("CUB_200_2011.tgz", "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081", "CUB_200_2011"),
)
ADDRESSES = (
    "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
    "http://www.vision.caltech.edu/visipedia-data/CUB-200-2011/CUB_200_2011.tgz",
)
CLASSES, TRAIN_IMAGES, TEST_IMAGES = 200, 5994, 5794


class CUBDataModule(ImageFilesDataModule):
    """CUB-200-2011: 5,994 training and 5,794 test images of 200 species of birds.

    Each of the two sets has about 30 images of every species.

    Args:
        data_dir: The folder that holds ``CUB_200_2011/``.
        val_size: Number of training images held out for validation.
        download: Download the published archive if ``CUB_200_2011/`` is missing.
        mirrors: Addresses of the archive, tried in this order.
        accept_modified: If there are more or fewer images than were published, warn instead of raising an error.
        options: Passed on to `ImageFilesDataModule`: image_size, num_workers, batch_size, seed, …
    """

    num_classes = CLASSES
    # The end of the error message about an image file that cannot be decoded.
    advice: ClassVar[str] = (
        "replace it by an intact copy, or remove its lines from images.txt, image_class_labels.txt and "
        "train_test_split.txt and set accept_modified: true"
    )

    def __init__(
        self,
        data_dir: str = "data",
        *,
        val_size: NonNegativeInt = 600,
        download: bool = False,
        mirrors: Sequence[str] = ADDRESSES,
        accept_modified: bool = False,
        **options: Unpack[ImageFilesArguments],
    ) -> None:
        super().__init__(data_dir, val_size=val_size, **options)
        self.root = self.data_dir / "CUB_200_2011"
        self.download, self.mirrors = download, tuple(mirrors)
        self.accept_modified = accept_modified

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The names of the species, from the published ``classes.txt``."""
        names = self._read_column("classes.txt")
        return tuple(names[number].partition(".")[2] or names[number] for number in sorted(names, key=int))

    def prepare_data(self) -> None:
        """Download the data set if it is missing and `download` is true."""
        if self.download and not self.root.is_dir():
            fetch_archive(self.mirrors, ARCHIVES, self.data_dir)

    def read_train(self) -> ImageFiles:
        """List and count the training images."""
        return self._read("1", TRAIN_IMAGES)

    def read_test(self) -> ImageFiles:
        """List and count the test images."""
        return self._read("0", TEST_IMAGES)

    def _read(self, part: str, expected: int) -> ImageFiles:
        paths, labels, parts = map(self._read_column, ("images.txt", "image_class_labels.txt", "train_test_split.txt"))
        if not paths.keys() == labels.keys() == parts.keys():
            raise UserError(
                f"images.txt, image_class_labels.txt and train_test_split.txt in {self.root.absolute()} do not have "
                f"the same image numbers: {self._remedy}"
            )
        chosen = [number for number in paths if parts[number] == part]
        target = torch.tensor([int(labels[number]) - 1 for number in chosen])
        check_count(
            str((self.root / "train_test_split.txt").absolute()),
            len(chosen),
            expected,
            accept_modified=self.accept_modified,
            remedy=self._remedy,
        )
        if len(target) and not 0 <= target.min() <= target.max() < CLASSES:
            raise UserError(
                f"image_class_labels.txt in {self.root.absolute()} has class numbers outside 1 to {CLASSES}: "
                f"{self._remedy}"
            )
        return self.make_split(self.root, Listing([f"images/{paths[number]}" for number in chosen], target))

    def _read_column(self, name: str) -> dict[str, str]:
        """Return {number: value} from a published list. Each line has a number (of an image or a class) and a value."""
        path: Path = self.root / name
        if not path.is_file():
            raise MissingFileError(
                f"{path.absolute()} is missing: set data_dir to the folder that holds CUB_200_2011/, or {self._remedy}"
            )
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        broken = [place for place, row in enumerate(rows, 1) if len(row) != 2 or not row[0].isdigit()]
        if broken:
            raise UserError(f"{path.absolute()}: line {broken[0]}: expected a number and a value: {self._remedy}")
        return {row[0]: row[1] for row in rows}

    @property
    def _remedy(self) -> str:
        return describe_remedy(self.root)
