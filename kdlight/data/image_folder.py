"""The data module for any images in class folders."""

__all__ = ["ImageFolderDataModule"]

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor

from kdlight.data.base.files_module import IMAGENET_MEAN, IMAGENET_STD, ImageFilesDataModule
from kdlight.data.base.image_module import ImageDataModuleArguments
from kdlight.data.base.samples import Split
from kdlight.data.base.splits import hold_out
from kdlight.data.sources.broken_files import leave_out_broken
from kdlight.data.sources.image_files import ImageFiles
from kdlight.data.sources.image_sizes import find_typical_side
from kdlight.data.sources.listing import Listing, check_classes, list_classes, list_images
from kdlight.errors import UserError
from kdlight.ranges import FiniteFloat, NonNegativeInt, PositiveFloat, PositiveInt
from kdlight.unpack import Unpack

IMAGE_SIZE = 224  # the size for which most networks for photographs are made
SMALLEST = 64  # networks for photographs halve the size five times, so 64 pixels become 2
STRIDE = 32
HELD_OUT = 0.15  # the fraction of images held out for validation, and for the test if the folder has no test set


class ImageFolderArguments(ImageDataModuleArguments, total=False):
    """The arguments that `ImageFolderDataModule` passes on to `ImageFilesDataModule`, which explains them."""

    resize_size: PositiveInt | None
    num_workers: NonNegativeInt | None
    augment: bool


class ImageFolderDataModule(ImageFilesDataModule):
    """Images in class folders: ``train/<class>/…`` and ``test/<class>/…`` (or ``val/``), or only ``<class>/…``.

    Only `data_dir` has to be given. If there is neither ``test/`` nor ``val/``, 15 percent of the images of each class
    are the test set, the same in every run. If there is only one of the two, it is the test set; if there are both,
    ``val/`` is the validation split. Classes are numbered in the order of their names. With `labels` false, the
    training images are a transfer set: their labels are not used, and the student only imitates the teacher.

    In a run from a configuration, image size and normalisation default to those that belong to the teacher's weights,
    or to the student's weights if there is no teacher. They come from the run that trained the weights, or from timm or
    torchvision if these published the weights. For random weights, `choose_image_size` chooses the image size.

    Args:
        data_dir: The folder with ``train/``, or with the class folders.
        image_size: Height and width of the images that a network gets. None: the size that belongs to the weights (in
            a run from a configuration), or else the size that `choose_image_size` returns.
        mean: Mean of each channel, for pixels in [0, 1]. None: the mean that belongs to the weights (in a run from a
            configuration), or else ImageNet's.
        std: Standard deviation of each channel, for pixels in [0, 1]. None: the std that belongs to the weights (in a
            run from a configuration), or else ImageNet's.
        augmentation: ``crops`` are random resized crops and mirror images; ``photographs`` also has RandAugment and
            colour jitter (`kdlight.data.views.photographs`).
        broken: ``refuse`` stops at the first file that cannot be decoded. If its split has at most 20,000 images, all
            of them are then checked; if several are broken, the error counts them and names the first five. ``skip``
            leaves out all broken files, with a warning that counts them and names the first five. To find them, every
            file is decoded once when its split is read.
        num_classes: The networks' number of classes; None: the number of class folders.
        test_folder: The folder of the test set; None: ``test`` if there is one, else ``val``, else a part of the
            training images.
        val_size: Number of training images held out for validation. None: if there are both ``test/`` and ``val/``, no
            images are held out, because ``val/`` is the validation split; otherwise 15 percent are held out. 0: there
            is no validation, so no best epoch can be selected.
        options: Passed on to `ImageFilesDataModule`: resize_size, num_workers, batch_size, seed, …
    """

    advice: ClassVar[str] = "replace it by an intact copy, take it out of the data set, or set broken: skip"

    def __init__(
        self,
        data_dir: str,
        *,
        image_size: PositiveInt | None = None,
        mean: Sequence[FiniteFloat] | None = None,
        std: Sequence[PositiveFloat] | None = None,
        augmentation: Literal["photographs", "crops"] = "photographs",
        broken: Literal["refuse", "skip"] = "refuse",
        num_classes: PositiveInt | None = None,
        test_folder: str | None = None,
        val_size: NonNegativeInt | None = None,
        **options: Unpack[ImageFolderArguments],
    ) -> None:
        super().__init__(
            data_dir,
            image_size=self.choose_image_size(data_dir) if image_size is None else image_size,
            mean=mean or IMAGENET_MEAN,
            std=std or IMAGENET_STD,
            val_size=1 if val_size is None else val_size,  # a placeholder above 0; `_hold_out` chooses the number
            photographs=augmentation == "photographs",
            **options,
        )
        self._chooses_validation = val_size is None
        self.augmentation, self.broken = augmentation, broken
        if num_classes is not None:
            self.num_classes = num_classes
        self.test_folder = test_folder
        self._intact: dict[str, Listing] = {}

    @staticmethod
    def choose_image_size(data_dir: str | Path) -> int:
        """Choose the image size for networks that start from random weights: 224, or less if the images are smaller.

        For smaller images, the size is the shorter side of a typical image (the median over some images of each class),
        rounded up to a multiple of 32, but at least 64. A larger size would take longer and show nothing more.
        """
        root = Path(data_dir).expanduser()
        side = find_typical_side(root / _find_train_folder(root))
        return IMAGE_SIZE if side is None else max(SMALLEST, min(IMAGE_SIZE, -(-side // STRIDE) * STRIDE))

    @property
    def train_folder(self) -> str:
        """The folder of the training images in `data_dir`; "." if `data_dir` itself contains the class folders."""
        return _find_train_folder(self.data_dir)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The names of the class folders."""
        folder = self.data_dir / self.train_folder
        names = list_classes(folder)
        if len(names) == 1:
            raise UserError(
                f"{folder.absolute()} has only one class folder, {names[0]}: expected two or more; set data_dir to the "
                "folder that holds a folder for each class"
            )
        return names

    def describe_transform(self, *, views: int = 1, strong: bool = False) -> dict[str, Any]:
        """Describe how images become a model's input, except for the random choices. All values fit into JSON."""
        return {**super().describe_transform(views=views, strong=strong), "augmentation": self.augmentation}

    def read_train(self) -> ImageFiles:
        """List the training images."""
        check_classes(self.data_dir / self.train_folder, self.class_names, self.num_classes)
        images = self._read(self.train_folder)
        return images.select(self._separate_test(images)[0]) if self._find_test_folder() is None else images

    def read_test(self) -> ImageFiles:
        """List the test images."""
        source = self._find_test_folder()
        if source is not None:
            return self._read(source)
        images = self._read(self.train_folder)
        return images.select(self._separate_test(images)[1])

    def _hold_out(self, samples: Split) -> None:
        """Hold out the validation split. If `val_size` was not given, choose it according to the folder's content."""
        if not self._chooses_validation:
            super()._hold_out(samples)
        elif self._find_test_folder() == "test" and (self.data_dir / "val").is_dir():
            self.val_size = 0
            super()._hold_out(samples)
            self._splits["val"] = self._read("val")
            self.val_size = len(self._splits["val"])
        else:
            self.val_size = _count_held_out(samples, self.num_classes)
            super()._hold_out(samples)

    def _find_test_folder(self) -> str | None:
        """Return the folder of the test set; None if the test set is a part of the training images.

        Raises:
            UserError: If `test_folder` is not a folder inside `data_dir`, or contains the training images.
        """
        if self.test_folder is None:
            there = [name for name in ("test", "val") if self.train_folder != "." and (self.data_dir / name).is_dir()]
            return next(iter(there), None)
        named, train = (Path(os.path.abspath(self.data_dir / name)) for name in (self.test_folder, self.train_folder))
        inside = named.is_relative_to(os.path.abspath(self.data_dir)) and named.is_dir()
        if not inside or train.resolve().is_relative_to(named.resolve()):
            raise UserError(
                f"test_folder: expected the name of a folder inside {self.data_dir.absolute()}, without the training "
                f"images, got {self.test_folder!r}; leave the option out to use test, val or a part of the training "
                "images"
            )
        return self.test_folder

    def _separate_test(self, images: ImageFiles) -> tuple[Tensor, Tensor]:
        """Return the indices of the training images and those of the test images, the same in every run."""
        return hold_out(images.target, _count_held_out(images, self.num_classes), None, self.class_names)

    def _read(self, folder: str) -> ImageFiles:
        if self.broken == "refuse":
            return self.make_split(self.data_dir, list_images(self.data_dir, folder, self.class_names))
        if folder not in self._intact:  # if training and test images share a folder, it is read once
            listing = list_images(self.data_dir, folder, self.class_names)
            self._intact[folder] = leave_out_broken(self.data_dir, listing)
        return self.make_split(self.data_dir, self._intact[folder])


def _find_train_folder(root: Path) -> str:
    if (root / "train").is_dir() or not root.is_dir():
        return "train"
    return "." if any(entry.is_dir() for entry in root.iterdir()) else "train"


def _count_held_out(images: Split, num_classes: int) -> int:
    """Return how many images to hold out: 15 percent, but at least as many as there are classes, and never all."""
    return min(max(num_classes, round(HELD_OUT * len(images))), len(images) - 1)
