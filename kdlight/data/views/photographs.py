"""The augmentation of photographs that follows crops and mirror images, by torchvision."""

import functools
from typing import Any

import torch
from torch import Tensor


def vary_photograph(image: Tensor, seed: int) -> Tensor:
    """Apply RandAugment and colour jitter to a cropped photograph.

    Cubuk et al. 2020, https://arxiv.org/abs/1909.13719, with torchvision's default of two operations of strength 9 of
    30; brightness, contrast and saturation are changed by up to a fifth. All choices depend only on the seed, not on
    the process or the images that it decoded before.

    Args:
        image: (3, height, width) uint8.
        seed: The seed of the image's crop.

    Returns:
        (3, height, width) uint8.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        varied: Tensor = _build_transform()(image)
    return varied


@functools.cache
def _build_transform() -> Any:
    from torchvision.transforms import v2  # imported here because the import takes a second

    return v2.Compose([v2.ColorJitter(0.2, 0.2, 0.2), v2.RandAugment()])
