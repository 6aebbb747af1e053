"""MLKD: Jin, Wang, Lin, "Multi-Level Logit Distillation", CVPR 2023.

Authors' code: github.com/Jin-Ying/Multi-Level-Logit-Distillation. Logits are compared on three levels: instance
(`kd_loss`), class and batch. Each level is summed over the temperatures 4, 3, 5, 2, 6. The networks see a weakly and a
strongly augmented view of each image. The authors' code has a mistake: at T = 2 and T = 6 it computes the strong view's
instance level from the logits of the weak view. The method `kdlight.methods.MLKD` takes those of the strong view.
"""

__all__ = ["mlkd_batch_loss", "mlkd_class_loss", "mlkd_kept_fractions"]

import torch
from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.probabilities import to_log_probabilities, to_log_probability_pair


@widen_half_precision
def mlkd_class_loss(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Compare how classes co-occur in the batch: ``||P_t' P_t - P_s' P_s||^2 / classes``, with ' for the transpose.

    The factor T^2 is left out, as in the authors' code.

    Args:
        student_logits: (batch, classes).
        teacher_logits: (batch, classes); no gradient reaches it.
        temperature: T of the softened probabilities P_s and P_t (batch, classes), positive.

    Raises:
        UserError: If the shapes differ or the temperature is not positive.
    """
    student, teacher = (p.exp() for p in to_log_probability_pair(student_logits, teacher_logits, temperature))
    return (teacher.T @ teacher - student.T @ student).square().sum() / student.shape[1]


@widen_half_precision
def mlkd_batch_loss(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Compare the similarities between the batch's samples: ``||P_t P_t' - P_s P_s'||^2 / batch``; ' is the transpose.

    The factor T^2 is left out, as in the authors' code.

    Args:
        student_logits: (batch, classes).
        teacher_logits: (batch, classes); no gradient reaches it.
        temperature: T of the softened probabilities P_s and P_t (batch, classes), positive.

    Raises:
        UserError: If the shapes differ or the temperature is not positive.
    """
    student, teacher = (p.exp() for p in to_log_probability_pair(student_logits, teacher_logits, temperature))
    return (teacher @ teacher.T - student @ student.T).square().sum() / len(student)


@widen_half_precision
def mlkd_kept_fractions(teacher_logits: Tensor) -> tuple[Tensor, Tensor]:
    """Compute which fraction of the samples, and which fraction of the classes, has at most the median confidence.

    The confidence of a sample is the teacher's highest probability for it. The confidence of a class is the sum of the
    teacher's probabilities for this class over the batch.

    In the paper, a mask is applied to the terms of the weakly augmented view. It drops the samples and classes with a
    confidence above the median. The paper's tables were made with the authors' code, and the method `MLKD` follows this
    code. There the mask is applied to a value that is already averaged. So the mask only multiplies the instance and
    batch levels by the first fraction and the class level by the second. Both fractions are about 1/2.

    Args:
        teacher_logits: (batch, classes) of the weakly augmented view; no gradient reaches it.
    """
    probabilities = to_log_probabilities(teacher_logits.detach(), 1.0).exp()
    return _compute_fraction_up_to_median(probabilities.amax(1)), _compute_fraction_up_to_median(probabilities.sum(0))


def _compute_fraction_up_to_median(confidence: Tensor) -> Tensor:
    # The authors interpolate the median, torch takes the lower of two middle values; both keep the same elements.
    return (confidence <= torch.median(confidence)).to(confidence.dtype).mean()
