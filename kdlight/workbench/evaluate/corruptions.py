"""A fixed set of image corruptions, similar to those of the data set ImageNet-C. Each has a single strength.

D. Hendrycks and T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", 2019,
https://arxiv.org/abs/1903.12261. The corruptions and their strengths are kdlight's own, so results cannot be compared
with those on ImageNet-C.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

NOISE = 0.1  # standard deviation, for pixels in [0, 1]
MASKED = 0.25  # side of the grey square, as a fraction of the image's side


def corrupt(pixels: Tensor, name: str, generator: torch.Generator) -> Tensor:
    """Corrupt images.

    Args:
        pixels: (batch, channels, height, width) uint8.
        name: One of `CORRUPTIONS`.
        generator: Source of random numbers.

    Returns:
        The corrupted images, of the same shape and dtype.
    """
    corrupted = CORRUPTIONS[name](pixels.float() / 255, generator)
    return (corrupted.clamp(0, 1) * 255).round().to(torch.uint8)


def _add_noise(pixels: Tensor, generator: torch.Generator) -> Tensor:
    return pixels + NOISE * torch.randn(pixels.shape, generator=generator)


def _blur(pixels: Tensor, generator: torch.Generator) -> Tensor:
    from torchvision.transforms.v2.functional import gaussian_blur

    side = min(pixels.shape[-2:])
    sigma = max(0.5, side / 48)
    blurred: Tensor = gaussian_blur(pixels, [2 * round(2 * sigma) + 1] * 2, [sigma, sigma])
    return blurred


def _lower_contrast(pixels: Tensor, generator: torch.Generator) -> Tensor:
    mean = pixels.mean((1, 2, 3), keepdim=True)
    return mean + 0.4 * (pixels - mean)


def _brighten(pixels: Tensor, generator: torch.Generator) -> Tensor:
    return pixels + 0.25


def _darken(pixels: Tensor, generator: torch.Generator) -> Tensor:
    return pixels * 0.5


def _pixelate(pixels: Tensor, generator: torch.Generator) -> Tensor:
    height, width = pixels.shape[-2:]
    coarse = functional.interpolate(pixels, size=(max(1, height // 2), max(1, width // 2)), mode="area")
    return functional.interpolate(coarse, size=(height, width), mode="nearest")


def _mask(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Put a grey square in the middle."""
    height, width = pixels.shape[-2:]
    rows, columns = round(MASKED * height), round(MASKED * width)
    top, left = (height - rows) // 2, (width - columns) // 2
    masked = pixels.clone()
    masked[:, :, top : top + rows, left : left + columns] = 0.5
    return masked


CORRUPTIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "noise": _add_noise,
    "blur": _blur,
    "low contrast": _lower_contrast,
    "brighter": _brighten,
    "darker": _darken,
    "pixelated": _pixelate,
    "masked": _mask,
}
