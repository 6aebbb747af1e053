"""Random images of CIFAR's shape, with which training can be timed without a data set."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from kdlight.data.base.image_module import ImageDataModule
from kdlight.data.base.samples import Samples
from kdlight.streams import Stream, make_generator


class RandomImages(ImageDataModule):
    """Random uint8 images and labels of 100 classes, with CIFAR's augmentation.

    Args:
        train_images: Number of training images.
        val_size: How many of the training images are held out for validation.
        augment: Crop and flip the training images at random.
        mean: The mean of each channel, for pixels in [0, 1].
        std: The standard deviation of each channel, for pixels in [0, 1].
        options: Passed on to `ImageDataModule`.
    """

    class_names: ClassVar[tuple[str, ...]] = tuple(f"class {number}" for number in range(100))
    image_shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    crop_padding: ClassVar[int] = 4
    mirror: ClassVar[bool] = True

    def __init__(
        self,
        *,
        train_images: int = 50_000,
        val_size: int = 0,
        augment: bool = True,
        mean: Sequence[float] = (0.5071, 0.4867, 0.4408),
        std: Sequence[float] = (0.2675, 0.2565, 0.2761),
        **options: Any,
    ) -> None:
        super().__init__(val_size=val_size, augment=augment, mean=mean, std=std, **options)
        self.train_images = train_images

    def read_train(self) -> Samples:
        """Draw the training images."""
        return _draw(self.train_images, 0)

    def read_test(self) -> Samples:
        """Draw the test images."""
        return _draw(1000, 1)


def _draw(count: int, part: int) -> Samples:
    generator = make_generator(Stream.RANDOM_IMAGES, part)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Samples(images, torch.randint(0, 100, (count,), generator=generator))
