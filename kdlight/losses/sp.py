"""SP: Tung, Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019 (arXiv 1907.09682)."""

__all__ = ["sp_loss"]

from torch import Tensor

from kdlight.losses.parts.directions import unit
from kdlight.losses.parts.precision import at_least_float32
from kdlight.losses.parts.shapes import require_same_batch


@at_least_float32
def sp_loss(student_feature: Tensor, teacher_feature: Tensor) -> Tensor:
    """Mean squared difference of the row-normalised Gram matrices of the batch, equation 4.

    Args:
        student_feature: (batch, ...), one sample a row when flattened.
        teacher_feature: (batch, ...) of any other size; no gradient reaches it.

    Raises:
        UserError: If the batches differ.
    """
    require_same_batch(student_feature, teacher_feature)
    return (_similarity(teacher_feature.detach()) - _similarity(student_feature)).square().mean()


def _similarity(feature: Tensor) -> Tensor:
    rows = feature.flatten(1)
    return unit(rows @ rows.T)
