"""OFD: Heo, Kim, Yun, Park, Kwak, Choi, "A Comprehensive Overhaul of Feature Distillation", ICCV 2019.

arXiv 1904.01866.
"""

__all__ = ["ofd_loss", "ofd_margin"]

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import expand_per_channel, require_same_shape


@widen_half_precision
def ofd_loss(student_preactivation: Tensor, teacher_preactivation: Tensor, margin: Tensor) -> Tensor:
    """Compute the squared distance between two maps, where the teacher's values are clamped to at least a margin.

    A teacher's value t gives the target max(t, margin). Where t is not positive, the loss is 0 if the student's value
    is at or below the target. The loss is summed over the elements of a sample and averaged over the batch. The
    teacher's map is average-pooled to the student's size, as in mdistiller.

    Args:
        student_preactivation: (batch, channels, height, width), the student's map before the ReLU, projected to the
            teacher's number of channels.
        teacher_preactivation: (batch, channels, height, width), before the ReLU; no gradient reaches it.
        margin: (channels,), not positive. `ofd_margin` computes it from the teacher's batch norm before the ReLU.

    Raises:
        UserError: If batch sizes or channels differ, or the margin is not one number per channel.
    """
    height, width = student_preactivation.shape[2:]
    teacher = F.adaptive_avg_pool2d(teacher_preactivation.detach(), (height, width))
    require_same_shape(student_preactivation, teacher)
    target = torch.maximum(teacher, expand_per_channel(margin, teacher))
    asked = (student_preactivation > target) | (teacher > 0)
    return ((student_preactivation - target).square() * asked).flatten(1).sum(1).mean()


@torch.no_grad()
def ofd_margin(scale: Tensor, shift: Tensor) -> Tensor:
    """Compute the mean of each channel's negative values, assuming that the channel's values are normally distributed.

    If the values are negative with a probability of at most 0.001, the margin is minus three standard deviations, as in
    mdistiller.

    Args:
        scale: (channels,), weight of the batch norm before the ReLU; its absolute value is the standard deviation of
            the channel's values.
        shift: (channels,), bias of that batch norm, the mean of the channel's values.

    Returns:
        (channels,), no gradient.
    """
    deviation = scale.abs()
    # A scale of 0 (a zero-initialised norm) makes z infinite or NaN. The result is then min(shift, 0), the limit for a
    # scale that goes to 0.
    z = shift / deviation
    log_negative = torch.special.log_ndtr(-z)
    log_density = -z.square() / 2 - math.log(2 * math.pi) / 2
    conditional_mean = shift - deviation * (log_density - log_negative).exp()
    return torch.where(log_negative > math.log(0.001), conditional_mean, -3 * deviation)
