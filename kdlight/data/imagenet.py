"""ImageNet, the data set of the ILSVRC 2012 classification task.

O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015, https://arxiv.org/abs/1409.0575
"""

__all__ = ["ImageNetDataModule"]

from functools import cached_property
from typing import ClassVar

from kdlight.data.base.files_module import ImageFilesArguments, ImageFilesDataModule
from kdlight.data.sources.image_files import ImageFiles
from kdlight.data.sources.listing import check_classes, check_count, list_classes, list_images
from kdlight.errors import MissingFileError
from kdlight.ranges import NonNegativeInt, PositiveInt
from kdlight.unpack import Unpack

TRAIN_IMAGES, TEST_IMAGES = 1_281_167, 50_000
REMEDY = (
    "let torchvision.datasets.ImageNet unpack ILSVRC2012_img_train.tar or ILSVRC2012_img_val.tar (from image-net.org) "
    "again, into an empty folder"
)


class ImageNetDataModule(ImageFilesDataModule):
    """ImageNet: 1,281,167 training images of 1,000 classes. The 50,000 official validation images are the test set.

    Classes are numbered in the order of their WordNet ids, as in torchvision.

    Args:
        data_dir: The folder that holds ``train/<wnid>/`` and ``val/<wnid>/``.
        val_size: Number of training images held out for validation.
        num_classes: 1,000, or the number of classes of a subset such as ImageNet-100. A subset also needs
            `accept_modified`, because it has fewer images than were published.
        download: If this is true and ImageNet is missing, an error says where to get ImageNet, because it cannot be
            downloaded without an account.
        accept_modified: If there are more or fewer images than were published, warn instead of raising an error.
        options: Passed on to `ImageFilesDataModule`: image_size, num_workers, batch_size, seed, …
    """

    advice: ClassVar[str] = "replace it by an intact copy, or take it out of the data set and set accept_modified: true"

    def __init__(
        self,
        data_dir: str = "data/imagenet",
        *,
        val_size: NonNegativeInt = 10_000,
        num_classes: PositiveInt = 1000,
        download: bool = False,
        accept_modified: bool = False,
        **options: Unpack[ImageFilesArguments],
    ) -> None:
        super().__init__(data_dir, val_size=val_size, **options)
        self.num_classes = num_classes
        self.download = download
        self.accept_modified = accept_modified

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The WordNet ids, which are the names of the class folders."""
        return list_classes(self.data_dir / "train")

    def prepare_data(self) -> None:
        """If ImageNet is missing and `download` is true, raise an error that says how to get it.

        Raises:
            MissingFileError: If ImageNet is missing and `download` is true.
        """
        if self.download and not (self.data_dir / "train").is_dir():
            raise MissingFileError(
                f"{self.data_dir.absolute()} has no train/, and ImageNet cannot be downloaded without an account: get "
                "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from https://image-net.org and sort them into "
                "class folders with torchvision.datasets.ImageNet"
            )

    def read_train(self) -> ImageFiles:
        """List and count the training images."""
        return self._read("train", TRAIN_IMAGES)

    def read_test(self) -> ImageFiles:
        """List and count the images of the official validation set."""
        return self._read("val", TEST_IMAGES)

    def _read(self, folder: str, expected: int) -> ImageFiles:
        check_classes(self.data_dir / "train", self.class_names, self.num_classes)
        listing = list_images(self.data_dir, folder, self.class_names)
        check_count(
            str((self.data_dir / folder).absolute()),
            len(listing.paths),
            expected,
            accept_modified=self.accept_modified,
            remedy=REMEDY,
        )
        return self.make_split(self.data_dir, listing)
