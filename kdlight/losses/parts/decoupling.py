"""Split KL(teacher || student) into three divergences, for CAKD, DKD and GDKD.

A mask splits the classes (or channels) into a strong set S and a weak set W. Their total probabilities p_S and p_W are
called masses. Three divergences compare the teacher with the student: ``binary`` compares the masses (p_S, p_W),
``strong`` compares the probabilities within S (divided by p_S), and ``weak`` compares the probabilities within W
(divided by p_W). Then

    KL(teacher || student) = binary + p_S(teacher) * strong + p_W(teacher) * weak.
"""

__all__ = ["CAKDDivergences", "cakd_divergences"]

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlight.errors import UserError
from kdlight.losses.parts.masks import fill_outside
from kdlight.losses.parts.precision import to_float64, widen_half_precision
from kdlight.losses.parts.probabilities import to_log_probability_pair
from kdlight.losses.parts.shapes import require_same_shape


class CAKDDivergences(NamedTuple):
    """The terms of the decomposition at temperature T, each (batch,). They are not multiplied by T^2."""

    binary: Tensor
    """KL of the masses (p_S, p_W); BCD in the CAKD paper."""
    strong: Tensor
    """KL of the probabilities within S; SCD in the CAKD paper. It is 0 where S has fewer than two elements."""
    weak: Tensor
    """KL of the probabilities within W; WCD in the CAKD paper. It is 0 where W has fewer than two elements."""
    strong_mass: Tensor
    """The teacher's p_S."""
    weak_mass: Tensor
    """The teacher's p_W."""


@widen_half_precision
def cakd_divergences(
    student_logits: Tensor, teacher_logits: Tensor, strong: Tensor, *, temperature: float
) -> CAKDDivergences:
    """Split every sample's KL(teacher || student) into three divergences.

    Everything is computed from differences of logarithms. Nothing is divided by a mass, so a mass that underflows to 0
    needs no special treatment. Where S or W is empty, its divergence and the binary one are 0, and the divergence of
    the other set is KL(teacher || student).

    Args:
        student_logits: (batch, classes), or any vectors to be compared as distributions.
        teacher_logits: (batch, classes); no gradient reaches it, so the returned masses carry none.
        strong: Boolean mask (batch, classes), true in S.
        temperature: T of the softmax, positive.

    Returns:
        The three divergences and the teacher's two masses, each (batch,).

    Raises:
        UserError: If the shapes differ, the mask is not boolean or the temperature is not positive.
    """
    require_same_shape(student_logits, strong)
    if strong.dtype != torch.bool:
        raise UserError(f"expected a boolean mask of the strong set, got {strong.dtype}; make it boolean first")
    student, teacher = to_log_probability_pair(to_float64(student_logits), to_float64(teacher_logits), temperature)
    strong_mass, weak_mass = _compute_log_mass(teacher, strong), _compute_log_mass(teacher, ~strong)
    terms = CAKDDivergences(
        binary=_weigh_log_ratio(_compute_log_mass(student, strong), strong_mass)
        + _weigh_log_ratio(_compute_log_mass(student, ~strong), weak_mass),
        strong=_compute_divergence_within(student, teacher, strong),
        weak=_compute_divergence_within(student, teacher, ~strong),
        strong_mass=strong_mass.exp(),
        weak_mass=weak_mass.exp(),
    )
    return CAKDDivergences(*(term.to(student_logits.dtype) for term in terms))


def _compute_log_mass(log_p: Tensor, mask: Tensor) -> Tensor:
    return fill_outside(log_p, mask).logsumexp(1)


def _compute_divergence_within(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    of_student, of_teacher = (F.log_softmax(fill_outside(log_p, mask), dim=1) for log_p in (student, teacher))
    return _weigh_log_ratio(of_student, of_teacher).masked_fill(~mask, 0.0).sum(1)


def _weigh_log_ratio(student: Tensor, teacher: Tensor) -> Tensor:
    return teacher.exp() * (teacher - student)
