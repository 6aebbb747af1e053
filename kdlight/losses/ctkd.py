"""CTKD: Li, Li, Yang, Zhao, Song, Luo, Li, Yang, "Curriculum Temperature for Knowledge Distillation", AAAI 2023.

arXiv 2211.16231; the authors' code is github.com/zhengli97/CTKD. The loss is `kd_loss` at a learned temperature. The
student minimises this loss. The gradient of the temperature is reversed, so that the temperature maximises the loss.
"""

__all__ = ["ctkd_reversal", "ctkd_temperature"]

import math

import torch
from torch import Tensor

from kdlight.errors import UserError


def ctkd_temperature(parameter: Tensor, *, start: float = 1.0, span: float = 20.0) -> Tensor:
    """Compute the temperature ``start + span * sigmoid(parameter)``, which all samples share.

    Args:
        parameter: Unbounded scalar tensor. The authors' code initialises it with 1; the temperature is then 15.62.
        start: Lower end of the temperature's range; t_start in the authors' code.
        span: Length of the range. The authors' code calls it t_end, although it is not the end.
    """
    return start + span * torch.sigmoid(parameter)


def ctkd_reversal(epoch: int, *, epochs: int = 10, strongest: float = -1.0) -> float:
    """Compute the factor by which the temperature's gradient is multiplied.

    The factor goes along a cosine from 0 in epoch 0 to ``strongest`` in the epoch with the number ``epochs``.

    The authors' code can also change the factor linearly. This is not offered here, because no recipe of theirs uses
    it.

    Args:
        epoch: Number of the epoch. The first epoch has the number 1 in the authors' code. From epoch ``epochs`` on, the
            factor is constant.
        epochs: The epoch at which the factor reaches ``strongest``; 10 on CIFAR-100, 5 on ImageNet.
        strongest: The final factor. It must be negative to reverse the gradient.

    Raises:
        UserError: If ``epochs`` is not positive.
    """
    if epochs < 1:
        raise UserError(
            f"expected at least 1 epoch of curriculum, got {epochs}; epochs=1 gives full strength from epoch 1 on"
        )
    return strongest * (1 - math.cos(math.pi * min(epoch, epochs) / epochs)) / 2


def scale_gradient(values: Tensor, factor: float) -> Tensor:
    """Return the values unchanged, but scale their gradient; a factor below 0 reverses it (Ganin et al. 2016)."""
    fixed = values.detach()
    return fixed + factor * (values - fixed)
