"""FSP: flow of the solution procedure.

Yim, Joo, Bae, Kim, "A Gift from Knowledge Distillation: Fast Optimization, Network Minimization and Transfer Learning",
CVPR 2017 (openaccess.thecvf.com). Code followed: github.com/HobbitLong/RepDistiller.
"""

__all__ = ["fsp_loss", "fsp_matrix"]

from torch import Tensor

from kdlight.losses.parts.pooling import pool_to_smaller
from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_batch, require_same_shape


@widen_half_precision
def fsp_matrix(bottom: Tensor, top: Tensor) -> Tensor:
    """Compute the FSP matrix, which describes the flow from one stage to the next (equation 1).

    Each entry is the product of a channel of one stage and a channel of the other, averaged over the positions. Before
    that, the larger map is average-pooled to the size of the smaller (the paper max-pools).

    Args:
        bottom: The map of the earlier stage, (batch, bottom channels, height, width).
        top: The map of the next stage of the same network, (batch, top channels, height, width).

    Returns:
        (batch, bottom channels, top channels).

    Raises:
        UserError: If the batch sizes differ, a tensor does not have these four dimensions, or one map is higher and the
            other wider.
    """
    require_same_batch(bottom, top)
    bottom, top = (feature.flatten(2) for feature in pool_to_smaller(bottom, top))
    return bottom @ top.transpose(1, 2) / bottom.shape[2]


@widen_half_precision
def fsp_loss(student_matrix: Tensor, teacher_matrix: Tensor) -> Tensor:
    """Compute the mean squared difference of the FSP matrices of student and teacher, see `fsp_matrix`.

    The paper takes the squared norm of the difference instead of the mean (equation 2).

    Args:
        student_matrix: (batch, bottom channels, top channels).
        teacher_matrix: A tensor of the same shape, so both networks need the same numbers of channels; no gradient
            reaches it.

    Raises:
        UserError: If the shapes differ.
    """
    require_same_shape(student_matrix, teacher_matrix)
    return (student_matrix - teacher_matrix.detach()).square().mean()
