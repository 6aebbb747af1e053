"""Kullback-Leibler divergences whose value keeps its digits at any temperature."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

#: Below this difference of logarithms the terms of a divergence come from their series.
_SMALL = 0.1


def outside_lowest(values: Tensor, mask: Tensor) -> Tensor:
    """Replace what lies outside the mask by the lowest number: not by -inf, which would give NaN gradients."""
    return values.masked_fill(~mask, torch.finfo(values.dtype).min)


@torch.no_grad()
def log_ratio(student_logits: Tensor, teacher_logits: Tensor, temperature: float | Tensor) -> Tensor:
    """``(teacher - student) / T``, from which every digit of a difference between distributions comes.

    Their softened probabilities differ by about 1/T: rounding of the logarithms would leave nothing of it.
    """
    largest = torch.finfo(student_logits.dtype).max / 4
    teacher, student = (logits.clamp(-largest, largest) for logits in (teacher_logits, student_logits))
    return ((teacher - student) / temperature).clamp(-largest, largest)


@torch.no_grad()
def log_mean_exp(log_weights: Tensor, exponents: Tensor) -> Tensor:
    """``log sum_i w_i exp(x_i)`` over the last dimension, for weights that sum to 1, shape (batch, 1).

    Around the mean of x the first order of the sum vanishes, so that x of any size keeps its relative accuracy.
    """
    weights = log_weights.exp()
    mean = (weights * exponents).sum(-1, keepdim=True)
    rest = torch.where(weights > 0, exponents - mean, 0.0)
    near = mean + (weights * rest.clamp(-1, 1).expm1()).sum(-1, keepdim=True).log1p()
    return torch.where(rest.abs().amax(-1, keepdim=True) < 1, near, (log_weights + exponents).logsumexp(-1, True))


@torch.no_grad()
def divergence_value(student_log_p: Tensor, teacher_log_p: Tensor, ratio: Tensor) -> Tensor:
    """KL(teacher || student) of distributions over the last dimension, shape (batch,).

    With ``d = log t - log s`` it is ``sum t d = sum t (exp(-d) - 1 + d)``, since both distributions sum to 1. Each term
    of the second sum is of second order in d and none is negative, so nothing cancels.

    Args:
        student_log_p: (batch, classes), logarithms of the student's probabilities.
        teacher_log_p: (batch, classes).
        ratio: (batch, classes), d up to a constant of each row (`log_ratio`).
    """
    student, teacher = student_log_p.exp(), teacher_log_p.exp()
    d = ratio - log_mean_exp(student_log_p, ratio)
    d = torch.where((student > 0) | (teacher > 0), d, 0.0)
    small = d.clamp(-_SMALL, _SMALL)
    series = torch.zeros_like(small)
    for order in range(9, 1, -1):  # d^2/2 - d^3/6 + ..., by Horner's rule
        series = (1 - series) * small / order if order > 2 else (1 - series) * small.square() / 2
    middle = d.clamp(-1, 1)
    terms = torch.where(d.abs() < 1, teacher * ((-middle).expm1() + middle), teacher * d + student - teacher)
    return torch.where(d.abs() < _SMALL, teacher * series, terms).sum(-1)


class _Valued(torch.autograd.Function):
    """The value of one tensor with the gradient of another."""

    @staticmethod
    def forward(ctx: Any, differentiable: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def with_value(differentiable: Tensor, value: Tensor) -> Tensor:
    """Join the digits of ``value`` and the gradient of ``differentiable``, the same number up to rounding."""
    valued: Tensor = _Valued.apply(differentiable, value)
    return valued


def divergence(student_log_p: Tensor, teacher_log_p: Tensor, ratio: Tensor) -> Tensor:
    """`divergence_value` with a gradient, shape (batch,)."""
    plain = F.kl_div(student_log_p, teacher_log_p, reduction="none", log_target=True).sum(-1)
    return with_value(plain, divergence_value(student_log_p, teacher_log_p, ratio))
