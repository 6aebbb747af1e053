"""AT: Zagoruyko, Komodakis, "Paying More Attention to Attention", ICLR 2017 (arXiv 1612.03928)."""

__all__ = ["at_loss"]

from torch import Tensor

from kdlight.losses.parts.attention import compute_attention_map
from kdlight.losses.parts.pooling import pool_to_smaller
from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_batch


@widen_half_precision
def at_loss(student_feature: Tensor, teacher_feature: Tensor) -> Tensor:
    """Compute the mean squared difference of the attention maps of one stage.

    The attention map of a feature map f is the mean of f^2 over the channels, scaled to norm 1 over all positions.
    The loss is equation 2 with p = 2, except that the squared difference is averaged over positions, as in the authors'
    code (github.com/szagoruyko/attention-transfer) and in RepDistiller; the paper takes the norm. The larger map is
    average-pooled to the size of the smaller.

    Args:
        student_feature: (batch, channels, height, width).
        teacher_feature: (batch, any number of channels, height, width); no gradient reaches it.

    Raises:
        UserError: If the batch sizes differ, or a tensor does not have these four dimensions.
    """
    require_same_batch(student_feature, teacher_feature)
    student, teacher = pool_to_smaller(student_feature, teacher_feature.detach())
    return (compute_attention_map(student) - compute_attention_map(teacher)).square().mean()
