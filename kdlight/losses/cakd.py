"""CAKD: correlation-aware knowledge distillation.

Zhang, Chen, Ning, Yang, Yuan, "CAKD: A Correlation-Aware Knowledge Distillation Framework Based on Decoupling
Kullback-Leibler Divergence", 2024 (arXiv 2410.14741). This file follows the paper's abstract and other people's
summaries of the paper, because the full text was not accessible and no code is public. The classes are divided into two
sets, and the KL divergence is split into three divergences: one between the sets, and one within each set. In this
split, the divergence within a set is multiplied by the set's mass, the sum of the teacher's probabilities in the set.
CAKD replaces the two masses by the weights alpha and beta, as DKD replaces the mass of the non-target classes by its
weight beta. The sum of the three terms is multiplied by T^2.

DKD and GDKD split the divergence in the same way, with the function in ``parts/decoupling.py``.
"""

__all__ = ["cakd_loss"]

from torch import Tensor

from kdlight.errors import UserError
from kdlight.losses.parts.decoupling import cakd_divergences
from kdlight.losses.parts.precision import widen_half_precision


@widen_half_precision
def cakd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    strong: Tensor,
    *,
    alpha: float | Tensor,
    beta: float | Tensor,
    temperature: float,
) -> Tensor:
    """Compute the batch mean of T^2 (BCD + alpha SCD + beta WCD).

    S is the set of strong classes, and W is the set of all other classes. The mass of a set is the sum of its
    probabilities. BCD is the divergence of the two masses, SCD is the divergence of the probabilities within S, and WCD
    is the divergence of the probabilities within W. If alpha and beta are the teacher's masses of S and W, this loss is
    `kd_loss`. If S is only the target, SCD is 0, and the loss is `dkd_loss` with ``alpha=1`` and the same beta. In
    `dkd_loss`, alpha weighs BCD; here, alpha weighs SCD.

    Args:
        student_logits: (batch, classes).
        teacher_logits: (batch, classes); no gradient reaches it.
        strong: Boolean mask (batch, classes), true in S.
        alpha: Weight of the divergence within S; a number or (batch,).
        beta: Weight of the divergence within W; a number or (batch,).
        temperature: T, positive.

    Raises:
        UserError: If the shapes differ, the mask is not boolean, the temperature is not positive, or a weight is a
            tensor that is neither a scalar nor of the shape (batch,).
    """
    for weight in (alpha, beta):
        if isinstance(weight, Tensor) and weight.shape not in ((), student_logits.shape[:1]):
            raise UserError(
                "expected a weight that is one number, or one number per row of the logits "
                f"{tuple(student_logits.shape)}, got a weight of shape {tuple(weight.shape)}; "
                "pass a number or a tensor of shape (batch,)"
            )
    terms = cakd_divergences(student_logits, teacher_logits, strong, temperature=temperature)
    return (terms.binary + alpha * terms.strong + beta * terms.weak).mean() * temperature**2
