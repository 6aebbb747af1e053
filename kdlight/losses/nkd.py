"""NKD: normalized knowledge distillation.

Yang, Zeng, Li, Zhang, Yuan, Li, "From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach with
Normalized Loss and Customized Soft Labels", ICCV 2023 (arXiv 2303.13005). Authors' code: github.com/yzd-v/cls_KD.
"""

__all__ = ["nkd_loss"]

import torch.nn.functional as F
from torch import Tensor

from kdlight.losses.parts.masks import fill_outside, mask_target
from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.probabilities import to_log_probability_pair
from kdlight.losses.parts.reduction import average_labelled


@widen_half_precision
def nkd_loss(
    student_logits: Tensor, teacher_logits: Tensor, target: Tensor, *, gamma: float, temperature: float
) -> Tensor:
    """Compute ``-p_t(y) log p_s(y) - gamma T^2 sum over i != y of q_t(i) log q_s(i)``, averaged over labelled samples.

    y is the target; the index t stands for the teacher and s for the student. p is the softmax at temperature 1, and q
    the softmax at temperature T over the classes other than the target. The terms are not divergences: if the student
    equals the teacher, they are in general not 0. With two classes the second term is always 0.

    Args:
        student_logits: (batch, classes).
        teacher_logits: (batch, classes); no gradient reaches it.
        target: (batch,) class numbers; samples with -1 are left out.
        gamma: Weight of the second term, that of the classes other than the target.
        temperature: T of the second term, positive.

    Raises:
        UserError: If the shapes differ or the temperature is not positive.
    """
    mask = mask_target(student_logits, target)
    student, teacher = to_log_probability_pair(student_logits, teacher_logits, 1.0)
    target_term = -(teacher.exp() * student).masked_fill(~mask, 0.0).sum(1)
    student, teacher = (
        F.log_softmax(fill_outside(log_p, ~mask), dim=1)
        for log_p in to_log_probability_pair(student_logits, teacher_logits, temperature)
    )
    other_term = -(teacher.exp() * student).masked_fill(mask, 0.0).sum(1)
    return average_labelled(target_term + gamma * temperature**2 * other_term, target)
