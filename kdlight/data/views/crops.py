"""The usual augmentation of small images such as CIFAR's, on whole batches: zero padding, crop, horizontal flip.

He et al. 2016, https://arxiv.org/abs/1512.03385, section 4.2. The distribution is that of torchvision's
``RandomCrop(size, padding)`` and ``RandomHorizontalFlip``: every image has its own crop and flip, and the padding is
black, that is, zero before normalisation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class CropDraws(NamedTuple):
    """The random choices for a set of images.

    Attributes:
        shifts: The first row and first column of each crop in the padded image, (n, 2) int64.
        flipped: Whether each image is mirrored, (n,) bool.
    """

    shifts: Tensor
    flipped: Tensor


def draw_crops(count: int, *, padding: int, flip: bool, generator: torch.Generator) -> CropDraws:
    """Draw the crops of ``count`` images, each uniformly from (2 * padding + 1)^2 places.

    If `flip` is true, each image is also mirrored with probability 1/2.
    """
    shifts = torch.randint(0, 2 * padding + 1, (count, 2), generator=generator)
    flipped = torch.rand(count, generator=generator) < (0.5 if flip else 0.0)
    return CropDraws(shifts, flipped)


def crop(images: Tensor, shifts: Tensor, *, padding: int, flipped: Tensor | None = None) -> Tensor:
    """Pad the images (n, channels, height, width) with zeros, and crop each to its old size.

    The crop of image i begins at the row and column ``shifts[i]`` of the padded image; `shifts` has the shape (n, 2).
    The images for which `flipped` (n,) is true are also mirrored left and right.
    """
    count, channels, height, width = images.shape
    padded = functional.pad(images, (padding, padding, padding, padding))
    rows = shifts[:, :1] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    if flipped is not None:
        columns = torch.where(flipped[:, None], width - 1 - columns, columns)
    columns = shifts[:, 1:] + columns
    # One gather with flat indices is faster than two steps: indexing by rows and columns, then mirroring.
    places = (rows[:, :, None] * padded.shape[-1] + columns[:, None, :]).view(count, 1, height * width)
    return padded.flatten(2).gather(2, places.expand(-1, channels, -1)).view_as(images)


def flip(images: Tensor, flipped: Tensor) -> Tensor:
    """Return the images (n, channels, height, width), mirrored left and right where `flipped` (n,) is true."""
    return torch.where(flipped[:, None, None, None], images.flip(-1), images)


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Map uint8 pixels to float32, ``(pixel / 255 - mean) / std`` per channel."""
    result = images.to(torch.float32)
    for channel, (centre, spread) in enumerate(zip(mean, std, strict=True)):
        # The means and deviations are Python numbers, because tensors would have to be copied to the device.
        result[:, channel].mul_(1 / (255 * spread)).sub_(centre / spread)
    return result
