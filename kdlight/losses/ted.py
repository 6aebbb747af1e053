"""TED: task-aware layer-wise distillation.

Liang, Zuo, Zhang, He, Chen, Zhao, "Less is More: Task-aware Layer-wise Distillation for Language Model Compression",
ICML 2023 (arXiv 2210.01351), as the RID paper (arXiv 2411.07483, appendix C) adapts it to feature maps.
"""

__all__ = ["ted_loss"]

from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.reduction import Reduction, reduce_elements
from kdlight.losses.parts.shapes import require_same_shape


@widen_half_precision
def ted_loss(filtered_student: Tensor, filtered_teacher: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Compute the squared distance between the filtered maps of student and teacher at one stage.

    A filtered map is a feature map after a filter, a small network that is first trained with the labels.

    Args:
        filtered_student: (batch, channels, height, width).
        filtered_teacher: (batch, channels, height, width); no gradient reaches it, because its filter is trained
            beforehand.
        reduction: "mean" over all elements, as in the authors' code of TED and of RID; or "sum" over a
            sample's elements and mean over the batch.

    Raises:
        UserError: If the shapes differ.
    """
    require_same_shape(filtered_student, filtered_teacher)
    return reduce_elements((filtered_student - filtered_teacher.detach()).square(), reduction)
