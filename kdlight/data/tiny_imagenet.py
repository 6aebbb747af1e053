"""Tiny-ImageNet, the data set of Stanford's course CS231n.

Y. Le, X. Yang, Tiny ImageNet Visual Recognition Challenge, 2015, http://cs231n.stanford.edu/reports/2015/pdfs/yle_project.pdf
"""

__all__ = ["TinyImageNetDataModule"]

import os
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.progress import track
from torch import Tensor

from kdlight.data.base.image_module import ImageDataModule, ImageDataModuleArguments
from kdlight.data.base.samples import Samples
from kdlight.data.sources.archives import Archive, describe_remedy, fetch_archive
from kdlight.data.sources.decoding import decode
from kdlight.data.sources.listing import Listing, check_classes, check_count, list_images
from kdlight.errors import MissingFileError, UserError
from kdlight.ranges import NonNegativeInt, PositiveInt
from kdlight.unpack import Unpack

FOLDER = "tiny-imagenet-200"
ARCHIVES = (
    Archive("tiny-imagenet-200.zip", "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821", FOLDER),
)
ADDRESSES = (
    "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
)
SIDE, TRAIN_PER_CLASS, TEST_PER_CLASS = 64, 500, 50


class TinyImageNetDataModule(ImageDataModule):
    """Tiny-ImageNet: 100,000 training and 10,000 test images of 200 classes, 64x64 pixels.

    The test set is the official validation set, because the official test set has no labels. Images are decoded once
    and stay in memory (1.4 GB). Classes are numbered in the order of their WordNet ids, as in torchvision's
    ``ImageFolder``.

    Args:
        data_dir: The folder that holds ``tiny-imagenet-200/``.
        mean: The mean of each channel, for pixels in [0, 1]. The default is that of mdistiller, the code of DKD (Zhao
            et al. 2022).
        std: The standard deviation of each channel, for pixels in [0, 1]. The default is that of mdistiller, too.
        val_size: Number of training images held out for validation.
        augment: Pad the images with eight black pixels on each side, crop them at random, and flip them horizontally at
            random. (mdistiller rotates the images by up to 20 degrees instead of cropping them.)
        num_classes: 200, or the number of classes in ``wnids.txt`` if the data set was reduced to some of its classes.
            If these classes have all of their images, `accept_modified` is not needed.
        download: Download the published archive if ``tiny-imagenet-200/`` is missing.
        mirrors: Addresses of the archive, tried in this order.
        accept_modified: If there are more or fewer images than were published, warn instead of raising an error.
        options: Passed on to `ImageDataModule`: train_per_class, label_noise, batch_size, seed, …
    """

    image_shape = (3, SIDE, SIDE)
    crop_padding: ClassVar[int] = 8
    mirror: ClassVar[bool] = True

    def __init__(
        self,
        data_dir: str = "data",
        *,
        mean: Sequence[float] = (0.4802, 0.4481, 0.3975),
        std: Sequence[float] = (0.2302, 0.2265, 0.2262),
        val_size: NonNegativeInt = 10_000,
        augment: bool = True,
        num_classes: PositiveInt = 200,
        download: bool = False,
        mirrors: Sequence[str] = ADDRESSES,
        accept_modified: bool = False,
        **options: Unpack[ImageDataModuleArguments],
    ) -> None:
        super().__init__(mean=mean, std=std, val_size=val_size, augment=augment, **options)
        self.data_dir = Path(data_dir).expanduser()
        self.root = self.data_dir / FOLDER
        self.num_classes = num_classes
        self.download, self.mirrors = download, tuple(mirrors)
        self.accept_modified = accept_modified

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The first name of each class in ``words.txt``."""
        words = dict(line.split("\t", 1) for line in self._read_lines("words.txt") if "\t" in line)
        return tuple(words.get(wnid, wnid).split(",")[0].strip() for wnid in self._wnids)

    @cached_property
    def _wnids(self) -> tuple[str, ...]:
        wnids = tuple(sorted(self._read_lines("wnids.txt")))
        check_classes(self.root / "wnids.txt", wnids, self.num_classes)
        return wnids

    def prepare_data(self) -> None:
        """Download the data set if it is missing and `download` is true."""
        if self.download and not self.root.is_dir():
            fetch_archive(self.mirrors, ARCHIVES, self.data_dir)

    def read_train(self) -> Samples:
        """Decode the training set."""
        return self._decode(list_images(self.root, "train", self._wnids), "train", TRAIN_PER_CLASS)

    def read_test(self) -> Samples:
        """Decode the official validation set, whose classes are in ``val/val_annotations.txt``."""
        place = {wnid: place for place, wnid in enumerate(self._wnids)}
        paths, target = [], []
        for number, line in enumerate(self._read_lines("val/val_annotations.txt"), 1):
            name, _, rest = line.partition("\t")
            wnid = rest.partition("\t")[0]
            if wnid not in place:
                raise UserError(
                    f"{self.root.absolute()}/val/val_annotations.txt: line {number} has the class {wnid!r}, which "
                    f"is not in wnids.txt: {self._remedy}"
                )
            paths.append(f"val/images/{name}")
            target.append(place[wnid])
        return self._decode(Listing(paths, torch.tensor(target, dtype=torch.int64)), "val", TEST_PER_CLASS)

    def _decode(self, listing: Listing, folder: str, per_class: int) -> Samples:
        counts = listing.target.bincount(minlength=self.num_classes).tolist()
        wrong = [place for place, count in enumerate(counts) if count != per_class]
        first = wrong[0] if wrong else 0
        others = f" ({len(wrong) - 1} other classes differ, too)" if len(wrong) > 1 else ""
        check_count(
            f"{(self.root / folder).absolute()}, class {self._wnids[first]}{others}",
            counts[first],
            per_class,
            accept_modified=self.accept_modified,
            remedy=self._remedy,
        )
        try:
            images = decode_all(self.root, listing.paths, self.image_shape, f"decoding {FOLDER}/{folder}")
        except ValueError as error:
            raise UserError(f"{error}; {self._remedy}") from error
        return Samples(images, listing.target)

    def _read_lines(self, name: str) -> list[str]:
        path = self.root / name
        if not path.is_file():
            raise MissingFileError(
                f"{path.absolute()} is missing: set data_dir to the folder that holds {FOLDER}/, or {self._remedy}"
            )
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]

    @property
    def _remedy(self) -> str:
        return describe_remedy(self.root)


def decode_all(root: Path, paths: Sequence[str], shape: tuple[int, int, int], title: str) -> Tensor:
    """Decode image files of one size, in threads and with a progress bar; return them as a tensor (n, *shape) uint8.

    Args:
        root: The folder to which `paths` are relative.
        paths: The paths of the n images.
        shape: Channels, height, width.
        title: The progress bar's title.

    Raises:
        UserError: If a file is missing, broken, or of another size.
    """
    images = torch.empty(len(paths), *shape, dtype=torch.uint8)

    def fill(place: int) -> None:
        image = decode(root / paths[place])
        if image.shape != shape:
            raise UserError(f"{root / paths[place]} is {tuple(image.shape)}, but {shape} was expected")
        images[place] = image

    shown = rank_zero_only.rank == 0 and sys.stderr.isatty()  # type: ignore[attr-defined]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(fill, range(len(paths)))
        bar = track(done, title, len(paths), console=Console(stderr=True), transient=True, disable=not shown)
        try:
            deque(bar, maxlen=0)
        finally:
            pool.shutdown(cancel_futures=True)  # after an error, do not decode the rest
    return images
