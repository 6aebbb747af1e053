"""RKD: Park, Kim, Lu, Cho, "Relational Knowledge Distillation", CVPR 2019 (arXiv 1904.05068)."""

__all__ = ["rkd_angle_loss", "rkd_distance_loss", "rkd_loss"]

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlight.losses.parts.directions import unit
from kdlight.losses.parts.precision import at_least_float32
from kdlight.losses.parts.shapes import require_same_batch


@at_least_float32
def rkd_loss(
    student_embedding: Tensor, teacher_embedding: Tensor, *, distance_weight: float, angle_weight: float
) -> Tensor:
    """Compute the weighted sum of `rkd_distance_loss` and `rkd_angle_loss`.

    Args:
        student_embedding: (batch, ...), flattened to one vector a sample; at least two samples.
        teacher_embedding: (batch, ...) of any other size; no gradient reaches it.
        distance_weight: Weight of the distances; 25 in the published tables.
        angle_weight: Weight of the angles; 50 in the published tables.

    Raises:
        UserError: If the batches differ or there is one sample only.
    """
    distance = rkd_distance_loss(student_embedding, teacher_embedding)
    return distance_weight * distance + angle_weight * rkd_angle_loss(student_embedding, teacher_embedding)


@at_least_float32
def rkd_distance_loss(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """Smooth L1 of the distances of all pairs, each net's divided by their mean; mean over pairs.

    Args:
        student_embedding: (batch, ...), flattened to one vector a sample; at least two samples.
        teacher_embedding: (batch, ...) of any other size; no gradient reaches it.

    Raises:
        UserError: If the batches differ or there is one sample only.
    """
    require_same_batch(student_embedding, teacher_embedding, at_least=2)
    return F.smooth_l1_loss(_relative_distances(student_embedding), _relative_distances(teacher_embedding.detach()))


@at_least_float32
def rkd_angle_loss(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """Smooth L1 of the cosines of the angles of all triplets, mean over triplets.

    Args:
        student_embedding: (batch, ...), flattened to one vector a sample; at least two samples.
        teacher_embedding: (batch, ...) of any other size; no gradient reaches it.

    Raises:
        UserError: If the batches differ or there is one sample only.
    """
    require_same_batch(student_embedding, teacher_embedding, at_least=2)
    return F.smooth_l1_loss(_cosines(student_embedding), _cosines(teacher_embedding.detach()))


def _differences(embedding: Tensor) -> Tensor:
    rows = embedding.flatten(1)
    return rows[None] - rows[:, None]


def _relative_distances(embedding: Tensor) -> Tensor:
    distances: Tensor = torch.linalg.vector_norm(_differences(embedding), dim=2)
    # Over pairs of different samples. All samples at one point (a dead embedding) are at distance 0, not NaN.
    mean = distances.sum() / (len(distances) * (len(distances) - 1))
    return distances / mean.masked_fill(mean == 0, torch.inf)


def _cosines(embedding: Tensor) -> Tensor:
    directions = unit(_differences(embedding), dim=2)
    return directions @ directions.transpose(1, 2)
