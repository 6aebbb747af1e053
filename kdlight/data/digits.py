"""Handwritten digits: a data set that needs no download, and on which a network is trained in seconds."""

__all__ = ["DigitsDataModule"]

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from kdlight.data.base.image_module import ImageDataModule, ImageDataModuleArguments
from kdlight.data.base.samples import Samples
from kdlight.data.base.splits import SPLIT_SEED, draw_stratified_order
from kdlight.ranges import NonNegativeInt
from kdlight.streams import Stream, make_generator
from kdlight.unpack import Unpack

TEST_SIZE = 360  # a fifth of the images; scikit-learn does not divide them into training and test images


class DigitsDataModule(ImageDataModule):
    """The 1,797 images of digits, 8x8 pixels, that are installed with scikit-learn.

    They are the test part of a data set by E. Alpaydin, C. Kaynak 1998, https://archive.ics.uci.edu/dataset/80. This
    class divides them anew: 360 images are its test set, the same in every run, and the other 1,437 are for training
    and validation. Grey levels from 0 to 16 become pixels from 0 to 255. `augment` moves an image by up to one pixel;
    digits are not mirrored. The default mean and std are those of the 1,437 images.

    Args:
        val_size: Number of images held out for validation.
        augment: Train on random crops of images that are padded by one pixel.
        mean: The mean of all pixels, after they are scaled to [0, 1].
        std: The standard deviation of all pixels, after they are scaled to [0, 1].
        options: Passed on to `ImageDataModule`: train_per_class, label_noise, batch_size, seed, …
    """

    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    image_shape: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    crop_padding: ClassVar[int] = 1
    mirror: ClassVar[bool] = False

    def __init__(
        self,
        *,
        val_size: NonNegativeInt = 300,
        augment: bool = False,
        mean: Sequence[float] = (0.3052,),
        std: Sequence[float] = (0.3758,),
        **options: Unpack[ImageDataModuleArguments],
    ) -> None:
        super().__init__(val_size=val_size, augment=augment, mean=mean, std=std, **options)

    def read_train(self) -> Samples:
        """Read all but the test images."""
        samples, order = _load_digits()
        return samples.select(order[TEST_SIZE:].sort().values)

    def read_test(self) -> Samples:
        """Read the test images."""
        samples, order = _load_digits()
        return samples.select(order[:TEST_SIZE].sort().values)


def _load_digits() -> tuple[Samples, torch.Tensor]:
    # This reads the file of `sklearn.datasets.load_digits` (64 pixels and the class in each row) without importing
    # sklearn, which would take as long as the first epochs of a fit.
    found = importlib.util.find_spec("sklearn")
    assert found is not None
    assert found.origin is not None
    table = torch.from_numpy(np.loadtxt(Path(found.origin).parent / "datasets/data/digits.csv.gz", delimiter=","))
    images = table[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)
    samples = Samples(images.round().to(torch.uint8), table[:, -1].long())
    return samples, draw_stratified_order(samples.target, make_generator(Stream.DIGITS_TEST_SET, SPLIT_SEED))
