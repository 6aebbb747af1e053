"""Augmentation of photographs in addition to crops and mirror images, with torchvision's operations."""

import functools
from typing import Any

import torch
from torch import Tensor


def vary_photograph(image: Tensor, seed: int) -> Tensor:
    """Apply RandAugment and colour jitter to a cropped photograph.

    RandAugment is described by Cubuk et al. 2020, https://arxiv.org/abs/1909.13719. Its parameters are torchvision's
    defaults: two operations of magnitude 9 on a scale from 0 to 30. Colour jitter changes brightness, contrast and
    saturation by up to a fifth. All choices depend only on the seed, not on the process or on the images that the
    process decoded before.

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
