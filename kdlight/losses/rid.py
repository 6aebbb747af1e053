"""RID: redundant information distillation.

Dissanayake, Hamman, Halder, Sucholutsky, Zhang, Dutta, "Quantifying Knowledge Distillation Using Partial Information
Decomposition", AISTATS 2025 (arXiv 2411.07483), equations 10 to 12. Authors' code: github.com/pasandissanayake/kd-rid.

T and S are the feature maps of teacher and student at one stage, f_t and f_s are trained filters, and
V = f_t(T) - f_s(S). Each channel c has a variance sigma_c, by which V^2 is divided. Training alternates between two
phases. Phase 1 trains f_t and a head that predicts the label from f_t(T): it minimises `rid_mismatch` and the head's
cross-entropy. Phase 2 trains the student, f_s and sigma: it minimises the student's cross-entropy,
`rid_variance_penalty` and `rid_mismatch`. In VID (`vid_loss`) the penalty is log sigma instead of sigma^2, and penalty
and mismatch are multiplied by 1/2.

With the reduction "sum", `rid_mismatch` and `rid_variance_penalty` are those of the paper; with "mean", they are those
of the authors' code. The choice does not only scale the loss: with means, the ratio of penalty to mismatch is
height * width times as large as with sums.
"""

__all__ = ["rid_mismatch", "rid_variance_penalty"]

from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.reduction import Reduction, reduce_elements
from kdlight.losses.parts.shapes import expand_per_channel, require_same_shape


@widen_half_precision
def rid_mismatch(
    filtered_student: Tensor, filtered_teacher: Tensor, variance: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    """Compute the sum over channels and positions of E[V^2 / sigma_c] (equation 10), or the mean over all elements.

    The authors' code takes the mean. The mismatch is 0 if the filtered maps are equal. Gradients reach both maps and
    the variance, because phase 1 trains f_t, and phase 2 trains f_s and sigma.

    Args:
        filtered_student: f_s(S), (batch, channels, height, width).
        filtered_teacher: f_t(T), (batch, channels, height, width).
        variance: sigma, (channels,), positive.
        reduction: "mean" over all elements, or "sum" over a sample's elements and mean over the batch.

    Raises:
        UserError: If the maps' shapes differ or the variance is not one number per channel.
    """
    require_same_shape(filtered_student, filtered_teacher)
    difference = filtered_teacher - filtered_student
    return reduce_elements(difference.square() / expand_per_channel(variance, difference), reduction)


@widen_half_precision
def rid_variance_penalty(variance: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Compute the sum of sigma_c^2 over the channels (equation 11), or the mean over them (the authors' code).

    Args:
        variance: sigma, (channels,).
        reduction: "mean" or "sum" over the channels. Choose the same as for `rid_mismatch`.
    """
    return reduce_elements(variance.square()[None], reduction)
