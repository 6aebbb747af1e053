"""CTKD: Li, Li, Yang, Zhao, Song, Luo, Li, Yang, "Curriculum Temperature for Knowledge Distillation", AAAI 2023.

arXiv 2211.16231; the authors' code is github.com/zhengli97/CTKD. The loss is `kd_loss` at a learned temperature, whose
reversed gradient makes it an adversary: minimised by the student, maximised in the temperature.
"""

__all__ = ["ctkd_reversal", "ctkd_temperature"]

import math

import torch
from torch import Tensor

from kdlight.errors import UserError


def ctkd_temperature(parameter: Tensor, *, start: float = 1.0, span: float = 20.0) -> Tensor:
    """Compute the global temperature: start + span * sigmoid(parameter), between the two ends.

    Args:
        parameter: Unbounded scalar tensor; the code starts it at 1, a temperature of 15.62.
        start: Lower end of the temperature; t_start in the code.
        span: Distance from the lower to the upper end. The code calls it t_end although it is not the end.
    """
    return start + span * torch.sigmoid(parameter)


def ctkd_reversal(epoch: int, *, epochs: int = 10, strongest: float = -1.0) -> float:
    """Compute the factor of the temperature's gradient: from 0 at epoch 0 along a cosine to ``strongest``.

    The code's second, linear ramp is not offered: no recipe uses it.

    Args:
        epoch: Counted from 1 in the authors' code; constant from ``epochs`` on.
        epochs: Length of the ramp; 10 on CIFAR-100, 5 on ImageNet.
        strongest: Last factor. Negative: a positive one would not reverse.

    Raises:
        UserError: If ``epochs`` is not positive.
    """
    if epochs < 1:
        raise UserError(f"expected at least 1 epoch of curriculum, got {epochs}; 1 reverses in full from epoch 1")
    return strongest * (1 - math.cos(math.pi * min(epoch, epochs) / epochs)) / 2


def scale_gradient(values: Tensor, factor: float) -> Tensor:
    """Multiply the gradient alone by ``factor``; a negative one reverses it (Ganin et al. 2016)."""
    fixed = values.detach()
    return fixed + factor * (values - fixed)
