"""KD: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv 1503.02531)."""

__all__ = ["kd_loss", "soft_cross_entropy_loss"]

import torch.nn.functional as F
from torch import Tensor

from kdlight.losses.parts.precision import to_float64, widen_half_precision
from kdlight.losses.parts.probabilities import to_log_probability_pair


@widen_half_precision
def kd_loss(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float | Tensor) -> Tensor:
    """Compute T^2 KL(teacher || student) of the class probabilities at temperature T, averaged over the batch.

    This is the form of RepDistiller and mdistiller. The paper has a cross-entropy instead (`soft_cross_entropy_loss`),
    which differs by T^2 times the teacher's entropy and has the same gradient with respect to the student's logits. The
    KL divergence is 0 if both distributions are equal.

    Args:
        student_logits: (batch, classes).
        teacher_logits: (batch, classes); no gradient reaches it.
        temperature: T, positive. It may be a scalar tensor that is learned (CTKD); then its gradient passes through
            T^2 and both softmaxes.

    Raises:
        UserError: If the shapes differ or the temperature is not positive.
    """
    student, teacher = to_log_probability_pair(to_float64(student_logits), to_float64(teacher_logits), temperature)
    divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return (divergence * temperature**2).to(student_logits.dtype)


@widen_half_precision
def soft_cross_entropy_loss(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Compute the paper's cross-entropy with soft targets, -T^2 sum_i y_i(teacher, T) log y_i(student, T).

    y_i is the probability of class i at temperature T. The cross-entropy is averaged over the batch and equals
    `kd_loss` plus T^2 times the entropy of the teacher's probabilities at temperature T. Therefore it is not 0 if the
    student equals the teacher.

    Args:
        student_logits: (batch, classes).
        teacher_logits: (batch, classes); no gradient reaches it.
        temperature: T, positive.

    Raises:
        UserError: If the shapes differ or the temperature is not positive.
    """
    student, teacher = to_log_probability_pair(student_logits, teacher_logits, temperature)
    return -(teacher.exp() * student).sum(1).mean() * temperature**2
