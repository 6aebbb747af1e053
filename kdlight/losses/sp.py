"""SP: Tung, Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019 (arXiv 1907.09682)."""

__all__ = ["sp_loss"]

from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_batch
from kdlight.losses.parts.unit_vectors import normalize_vectors


@widen_half_precision
def sp_loss(student_feature: Tensor, teacher_feature: Tensor) -> Tensor:
    """Compute the mean squared difference of the row-normalised Gram matrices of the batch (equation 4).

    The Gram matrix (batch, batch) of a network holds the inner products of all pairs of samples. Each of its rows is
    divided by the row's norm.

    Args:
        student_feature: (batch, ...); the values of each sample are flattened to one row.
        teacher_feature: (batch, ...); its samples may have another size than the student's. No gradient reaches it.

    Raises:
        UserError: If the batch sizes differ.
    """
    require_same_batch(student_feature, teacher_feature)
    return (_compute_similarity(teacher_feature.detach()) - _compute_similarity(student_feature)).square().mean()


def _compute_similarity(feature: Tensor) -> Tensor:
    rows = feature.flatten(1)
    return normalize_vectors(rows @ rows.T)
