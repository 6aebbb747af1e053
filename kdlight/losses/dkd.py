"""DKD: Zhao, Cui, Song, Qiu, Liang, "Decoupled Knowledge Distillation", CVPR 2022 (arXiv 2203.08679)."""

__all__ = ["dkd_loss"]

from torch import Tensor

from kdlight.losses.parts.decoupling import cakd_divergences
from kdlight.losses.parts.masks import mask_target
from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.reduction import average_labelled


@widen_half_precision
def dkd_loss(
    student_logits: Tensor, teacher_logits: Tensor, target: Tensor, *, alpha: float, beta: float, temperature: float
) -> Tensor:
    """Compute T^2 (alpha TCKD + beta NCKD), equation 7 of the paper, as the mean over the labelled samples.

    TCKD is the divergence of the two probabilities (target, not target). NCKD is the divergence of the probabilities
    within all classes except the target. `cakd_divergences` computes TCKD as ``binary`` and NCKD as ``weak``, if the
    target alone is the strong set. The authors' code (mdistiller) excludes the target by subtracting 1000 from its
    logit; here the target is excluded exactly. With two classes NCKD is always 0.

    Args:
        student_logits: (batch, classes).
        teacher_logits: (batch, classes); no gradient reaches it.
        target: (batch,) class numbers; samples with -1 are left out.
        alpha: Weight of TCKD.
        beta: Weight of NCKD.
        temperature: T, positive.

    Raises:
        UserError: If the shapes differ or the temperature is not positive.
    """
    strong = mask_target(student_logits, target)
    terms = cakd_divergences(student_logits, teacher_logits, strong, temperature=temperature)
    return average_labelled(alpha * terms.binary + beta * terms.weak, target) * temperature**2
