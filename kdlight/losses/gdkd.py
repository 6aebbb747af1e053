"""GDKD: generalized decoupled knowledge distillation.

Zheng, Cheng, "Rethinking Decoupled Knowledge Distillation: A Predictive Distribution Perspective", 2025
(arXiv 2512.04625). Authors' code: github.com/ZaberKo/GDKD.
"""

__all__ = ["gdkd_loss"]

from torch import Tensor

from kdlight.losses.parts.decoupling import cakd_divergences
from kdlight.losses.parts.masks import mask_top
from kdlight.losses.parts.precision import widen_half_precision


@widen_half_precision
def gdkd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    top: int,
    binary_weight: float,
    top_weight: float,
    other_weight: float,
    temperature: float,
) -> Tensor:
    """Compute the batch mean of ``T^2 (w0 KL_between + w1 KL_top + w2 KL_other)``.

    Each KL is KL(teacher || student) of certain probabilities. The classes with the teacher's highest logits are called
    top. The total probabilities of the top classes and of all other classes are called masses. KL_between is the
    divergence of the two masses, KL_top that of the probabilities within the top classes, and KL_other that of the
    probabilities within the other classes. The three are the divergences of `cakd_divergences`, where the strong set S
    consists of the top classes. With two classes and ``top`` 1, only KL_between can differ from 0.

    Args:
        student_logits: (batch, classes).
        teacher_logits: (batch, classes); no gradient reaches it.
        top: Number of top classes; k in the authors' code.
        binary_weight: w0, weight of the divergence of the two sets' masses.
        top_weight: w1, weight of the divergence within the top classes.
        other_weight: w2, weight of the divergence within the other classes.
        temperature: T, positive.

    Raises:
        UserError: If the shapes differ, the temperature is not positive, or ``top`` is below 1 or above the number of
            classes.
    """
    strong = mask_top(teacher_logits, top)
    terms = cakd_divergences(student_logits, teacher_logits, strong, temperature=temperature)
    weighted = binary_weight * terms.binary + top_weight * terms.strong + other_weight * terms.weak
    return weighted.mean() * temperature**2
