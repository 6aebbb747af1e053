"""FT: Kim, Park, Kwak, "Paraphrasing Complex Network: Network Compression via Factor Transfer", NeurIPS 2018.

arXiv 1802.04977. Code followed: github.com/HobbitLong/RepDistiller, with which the CRD paper compares methods.
"""

__all__ = ["ft_loss"]

from torch import Tensor

from kdlight.losses.parts.attention import compute_attention_map
from kdlight.losses.parts.pooling import pool_to_smaller
from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_batch


@widen_half_precision
def ft_loss(student_factor: Tensor, teacher_factor: Tensor) -> Tensor:
    """Compute the mean absolute difference of the student's and the teacher's normalised factors (p = 1 in the paper).

    A factor is a feature map after a small network: the translator for the student, the paraphraser for the teacher.
    The paper normalises the factors themselves. Here, as in RepDistiller, the larger factor is first average-pooled to
    the height and width of the smaller one. Then each factor is reduced to its attention map, the mean of its squares
    over the channels, and the attention map is normalised.

    Args:
        student_factor: (batch, channels, height, width).
        teacher_factor: (batch, any number of channels, height, width); no gradient reaches it, because the paraphraser
            is trained beforehand.

    Raises:
        UserError: If the batch sizes differ, or a tensor does not have these four dimensions.
    """
    require_same_batch(student_factor, teacher_factor)
    student, teacher = pool_to_smaller(student_factor, teacher_factor.detach())
    return (compute_attention_map(student) - compute_attention_map(teacher)).abs().mean()
