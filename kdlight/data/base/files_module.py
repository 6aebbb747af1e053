"""The base of data modules whose images are files that worker processes decode."""

__all__ = ["ImageFilesDataModule"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from lightning.fabric.utilities import suggested_max_num_workers

from kdlight.data.base.image_module import ImageDataModule, ImageDataModuleArguments
from kdlight.data.sources.image_files import ImageFiles, encode_paths
from kdlight.data.sources.listing import Listing
from kdlight.data.views.view_kinds import ResizedCrops, ViewKind
from kdlight.errors import UserError
from kdlight.ranges import NonNegativeInt, PositiveInt
from kdlight.unpack import Unpack

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class WithValidation(ImageDataModuleArguments):
    """The arguments that `ImageFilesDataModule` passes on to `ImageDataModule`; `val_size` has no default there."""

    val_size: NonNegativeInt


class ImageFilesArguments(ImageDataModuleArguments, total=False):
    """The arguments that data modules of files pass on to `ImageFilesDataModule`, which explains them."""

    image_size: PositiveInt
    resize_size: PositiveInt | None
    num_workers: NonNegativeInt | None
    mean: Sequence[float]
    std: Sequence[float]
    augment: bool
    photographs: bool


class ImageFilesDataModule(ImageDataModule):
    """Images of any size: worker processes decode, crop and resize them; the device flips and normalises batches.

    For training, a random crop has between 8 and 100 % of the image's area and an aspect ratio between 3:4 and 4:3, and
    half of the crops are mirrored. For evaluation, the crop is the middle of the image.

    Args:
        data_dir: The folder of the data set.
        image_size: Height and width of the images that a network gets.
        resize_size: Length to which the shorter side is resized in evaluation, before the middle is cropped; None:
            256/224 of `image_size`, the usual ratio.
        num_workers: Number of processes that decode, for each loader that is running; 0: the training process decodes;
            None: the number of CPU cores divided by the number of devices, minus one, but at least 1.
        mean: The mean of each channel, for pixels in [0, 1].
        std: The standard deviation of each channel, for pixels in [0, 1].
        augment: Train on random crops, half of them mirrored.
        photographs: Also apply RandAugment and colour jitter to the crops.
        options: Passed on to `ImageDataModule`: val_size, train_per_class, label_noise, batch_size, seed, …

    Attributes:
        advice: What a user can do about an image file that cannot be decoded; the error's message ends with this.
    """

    advice: ClassVar[str] = "replace it by an intact copy, or take it out of the data set"

    def __init__(
        self,
        data_dir: str,
        *,
        image_size: PositiveInt = 224,
        resize_size: PositiveInt | None = None,
        num_workers: NonNegativeInt | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        augment: bool = True,
        photographs: bool = False,
        **options: Unpack[WithValidation],
    ) -> None:
        self.image_size = image_size
        self.resize_size = image_size * 256 // 224 if resize_size is None else resize_size
        super().__init__(mean=mean, std=std, augment=augment, **options)
        if not 1 <= self.image_size <= self.resize_size:
            raise UserError(f"expected 1 <= image_size <= resize_size, got {image_size} and {self.resize_size}")
        if not data_dir:
            raise UserError("data_dir: expected the path of a folder, got ''; write . for the current folder")
        self.data_dir = Path(data_dir).expanduser()
        self.num_workers = num_workers
        self.photographs = photographs

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Three channels, height, width."""
        return (3, self.image_size, self.image_size)

    @property
    def view_kind(self) -> ViewKind:
        """Random crops that are resized, and mirror images."""
        return ResizedCrops()

    def describe_transform(self, *, views: int = 1, strong: bool = False) -> dict[str, Any]:
        """Describe how images become a model's input, except for the random choices. All values fit into JSON."""
        return {**super().describe_transform(views=views, strong=strong), "resize_size": self.resize_size}

    def make_split(self, root: Path, listing: Listing) -> ImageFiles:
        """Return a split of the image files in `listing`, whose paths are relative to `root`."""
        workers = self.num_workers
        if workers is None:
            workers = suggested_max_num_workers(self.trainer.num_devices if self.trainer is not None else 1)
        return ImageFiles(
            root,
            encode_paths(listing.paths),
            listing.target,
            size=self.image_size,
            resize=self.resize_size,
            workers=workers,
            photographs=self.photographs,
            advice=self.advice,
        )
