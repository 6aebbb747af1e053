"""NST: Huang, Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer", 2017, arXiv 1707.01219."""

__all__ = ["nst_loss"]

from torch import Tensor

from kdlight.losses.parts.pooling import pool_to_smaller
from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_batch
from kdlight.losses.parts.unit_vectors import normalize_vectors


@widen_half_precision
def nst_loss(student_feature: Tensor, teacher_feature: Tensor) -> Tensor:
    """Compute the squared maximum mean discrepancy between the channels of student and teacher at one stage.

    The kernel is (a.b)^2, the paper's polynomial kernel with d = 2 and c = 0. The vectors a and b are the maps of two
    channels, each scaled to length 1 over its positions. Before that, the larger map is average-pooled to the size of
    the smaller. The loss is averaged over the batch.

    Args:
        student_feature: (batch, channels, height, width).
        teacher_feature: (batch, any number of channels, height, width); no gradient reaches it.

    Raises:
        UserError: If the batch sizes differ, or a tensor does not have these four dimensions.
    """
    require_same_batch(student_feature, teacher_feature)
    student, teacher = (
        normalize_vectors(feature.flatten(2), dim=2)
        for feature in pool_to_smaller(student_feature, teacher_feature.detach())
    )
    return _average_kernel(teacher, teacher) + _average_kernel(student, student) - 2 * _average_kernel(student, teacher)


def _average_kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.transpose(1, 2)).square().mean()
