"""VID: Ahn, Hu, Damianou, Lawrence, Dai, "Variational Information Distillation", CVPR 2019 (arXiv 1904.05835)."""

__all__ = ["vid_loss"]

from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.reduction import Reduction, reduce_elements
from kdlight.losses.parts.shapes import expand_per_channel, require_same_shape


@widen_half_precision
def vid_loss(regressed: Tensor, teacher_feature: Tensor, variance: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Compute the negative log-likelihood of the teacher's map under a Gaussian around the regressed student map.

    The loss is 1/2 [(mu - t)^2 / v_c + log v_c], without the constant log 2 pi. Here mu is the regressed map, t the
    teacher's map, and v_c the variance of channel c. RepDistiller takes the mean over all elements. The VID paper,
    and the RID paper (arXiv 2411.07483, equation 42), which compares RID with VID, take the sum over channels and
    positions. For a given mu, the best v_c is the mean squared error of the channel. The loss has no lower bound: if mu
    equals the teacher's map, it is 1/2 log v, which has no minimum.

    Args:
        regressed: mu(student map), (batch, channels, height, width). If the student's map is the larger one, pool it
            before the regressor (`pool_to_smaller`), as RepDistiller does. Pooling after the regressor gives another
            result, because the regressor is not linear.
        teacher_feature: (batch, channels, height, width); no gradient reaches it.
        variance: v, (channels,), positive.
        reduction: "mean" over all elements, or "sum" over a sample's elements and mean over the batch.

    Raises:
        UserError: If the shapes differ or the variance is not one number per channel.
    """
    require_same_shape(regressed, teacher_feature)
    variance = expand_per_channel(variance, regressed)
    return 0.5 * reduce_elements((regressed - teacher_feature.detach()).square() / variance + variance.log(), reduction)
