"""RID: redundant information distillation.

Dissanayake, Hamman, Halder, Sucholutsky, Zhang, Dutta, "Quantifying Knowledge Distillation Using Partial Information
Decomposition", AISTATS 2025 (arXiv 2411.07483), equations 10 to 12. Authors' code: github.com/pasandissanayake/kd-rid.

Each channel c has a variance sigma_c, by which the squared mismatch V = f_t(T) - f_s(S) of the filtered maps is
divided. Phase 1 (the teacher's filters) minimises `rid_mismatch` beside the cross-entropies of the filters' heads;
phase 2 (the student, its filters, sigma) minimises `rid_variance_penalty` + `rid_mismatch`. Where VID has log sigma,
RID has sigma^2, and it has no factor 1/2 in either term.

With reduction "sum" both terms are the paper's; with "mean" they are the authors' code. The two differ by more than one
common factor: in the code, the ratio of penalty to mismatch is height * width times that of the paper.
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
    """Sum over channels and positions of E[V^2 / sigma_c] (equation 10), or its mean over all elements (the code).

    0 where the filtered maps agree. Gradients reach all three arguments: phase 1 needs that of the teacher's map, phase
    2 those of the student's map and the variance.

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
    """Sum of sigma_c^2 over the channels (equation 11), or their mean (the authors' code).

    Args:
        variance: sigma, (channels,).
        reduction: "mean" over the channels or "sum" over them; the same as that of `rid_mismatch`.
    """
    return reduce_elements(variance.square()[None], reduction)
