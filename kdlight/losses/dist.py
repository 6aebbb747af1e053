"""DIST: Huang, You, Wang, Qian, Xu, "Knowledge Distillation from A Stronger Teacher", 2022 (arXiv 2205.10536)."""

__all__ = ["dist_loss"]

import torch
from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.probabilities import to_log_probability_pair

EPSILON = 1e-8
#: A row counts as constant if subtracting the row's mean leaves at most this fraction of the row's norm.
CONSTANT = 1e-5


@widen_half_precision
def dist_loss(
    student_logits: Tensor, teacher_logits: Tensor, *, beta: float, gamma: float, temperature: float
) -> Tensor:
    """Compute T^2 (beta (1 - mean correlation of rows) + gamma (1 - mean correlation of columns)).

    The correlations are Pearson correlations between the softened probabilities of student and teacher. A row holds the
    probabilities of one sample; its correlation is called inter-class. A column holds the probabilities of one class
    over the batch; its correlation is called intra-class. The factor T^2 follows the authors' code, as does the 1e-8
    that is added to the denominator of each correlation. A row or column that is constant in student or teacher, such
    as a row of equal logits, has correlation 0 and gets no gradient. The gradient with respect to an almost constant
    row or column is inversely proportional to its standard deviation. If the student equals the teacher, and no row or
    column is constant, the loss differs from 0 only by the effect of the 1e-8. With two classes every row's correlation
    is 1 or -1, so the inter-class term has almost no gradient.

    Args:
        student_logits: (batch, classes).
        teacher_logits: (batch, classes); no gradient reaches it.
        beta: Weight of the inter-class term.
        gamma: Weight of the intra-class term, which is constant in a batch of one sample.
        temperature: T, positive.

    Raises:
        UserError: If the shapes differ or the temperature is not positive.
    """
    student, teacher = (log_p.exp() for log_p in to_log_probability_pair(student_logits, teacher_logits, temperature))
    inter_class, intra_class = _correlate_rows(student, teacher), _correlate_rows(student.T, teacher.T)
    return (beta * (1 - inter_class.mean()) + gamma * (1 - intra_class.mean())) * temperature**2


def _correlate_rows(first: Tensor, second: Tensor) -> Tensor:
    (first, constant), (second, also_constant) = _centre_rows(first), _centre_rows(second)
    norms: Tensor = torch.linalg.vector_norm(first, dim=1) * torch.linalg.vector_norm(second, dim=1)
    return (first * second).sum(1) / (norms + EPSILON).masked_fill(constant | also_constant, torch.inf)


def _centre_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows minus their means, and a mask (rows,) of the constant rows, see `CONSTANT`."""
    centred = rows - rows.mean(dim=1, keepdim=True)
    left, whole = (torch.linalg.vector_norm(values.detach(), dim=1) for values in (centred, rows))
    return centred, left <= CONSTANT * whole
