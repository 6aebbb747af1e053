"""Logit matching: Bucilua, Caruana, Niculescu-Mizil, "Model Compression", KDD 2006; Ba, Caruana (arXiv 1312.6184)."""

__all__ = ["logit_mse_loss"]

from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_shape


@widen_half_precision
def logit_mse_loss(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Compute half of the mean square of ``d - mean(d)``, where d = z_s - z_t and the mean is taken over each row of d.

    This is the limit of `kd_loss` for T to infinity (Hinton et al. 2015, equation 4, with the factor T^2). The mean of
    a row says nothing about the classes. If it were not subtracted, the loss would not be this limit, and it would
    change with a constant that is added to all logits of a sample, although such a constant changes no probability.

    Args:
        student_logits: (batch, classes).
        teacher_logits: (batch, classes); no gradient reaches it.

    Raises:
        UserError: If the shapes differ.
    """
    require_same_shape(student_logits, teacher_logits)
    difference = student_logits - teacher_logits.detach()
    return 0.5 * (difference - difference.mean(dim=1, keepdim=True)).square().mean()
