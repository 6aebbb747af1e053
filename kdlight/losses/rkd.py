"""RKD: Park, Kim, Lu, Cho, "Relational Knowledge Distillation", CVPR 2019 (arXiv 1904.05068)."""

__all__ = ["rkd_angle_loss", "rkd_distance_loss", "rkd_loss"]

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_batch
from kdlight.losses.parts.unit_vectors import normalize_vectors


@widen_half_precision
def rkd_loss(
    student_embedding: Tensor, teacher_embedding: Tensor, *, distance_weight: float, angle_weight: float
) -> Tensor:
    """Compute the weighted sum of `rkd_distance_loss` and `rkd_angle_loss`.

    Args:
        student_embedding: (batch, ...), flattened to one vector per sample; at least two samples.
        teacher_embedding: (batch, ...), of the same batch size; the other sizes may differ. It gets no gradient.
        distance_weight: Weight of `rkd_distance_loss`; 25 in RepDistiller and mdistiller.
        angle_weight: Weight of `rkd_angle_loss`; 50 in RepDistiller and mdistiller.

    Raises:
        UserError: If the batch sizes differ, or there is only one sample.
    """
    distance = rkd_distance_loss(student_embedding, teacher_embedding)
    return distance_weight * distance + angle_weight * rkd_angle_loss(student_embedding, teacher_embedding)


@widen_half_precision
def rkd_distance_loss(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """Compute the smooth L1 loss between the student's and the teacher's distances of all pairs of samples.

    Each network's distances are first divided by their mean. The loss is averaged over the pairs.

    Args:
        student_embedding: (batch, ...), flattened to one vector per sample; at least two samples.
        teacher_embedding: (batch, ...), of the same batch size; the other sizes may differ. It gets no gradient.

    Raises:
        UserError: If the batch sizes differ, or there is only one sample.
    """
    require_same_batch(student_embedding, teacher_embedding, at_least=2)
    return F.smooth_l1_loss(_measure_distances(student_embedding), _measure_distances(teacher_embedding.detach()))


@widen_half_precision
def rkd_angle_loss(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """Compute the smooth L1 loss between the student's and the teacher's cosines of angles, averaged over triplets.

    The angle of a triplet (i, j, k) of samples is between the directions from i's embedding to j's and to k's.

    Args:
        student_embedding: (batch, ...), flattened to one vector per sample; at least two samples.
        teacher_embedding: (batch, ...), of the same batch size; the other sizes may differ. It gets no gradient.

    Raises:
        UserError: If the batch sizes differ, or there is only one sample.
    """
    require_same_batch(student_embedding, teacher_embedding, at_least=2)
    return F.smooth_l1_loss(_compute_cosines(student_embedding), _compute_cosines(teacher_embedding.detach()))


def _subtract_pairs(embedding: Tensor) -> Tensor:
    rows = embedding.flatten(1)
    return rows[None] - rows[:, None]


def _measure_distances(embedding: Tensor) -> Tensor:
    distances: Tensor = torch.linalg.vector_norm(_subtract_pairs(embedding), dim=2)
    # The mean is over pairs of different samples. If all embeddings are equal, the result is 0 instead of NaN.
    mean = distances.sum() / (len(distances) * (len(distances) - 1))
    return distances / mean.masked_fill(mean == 0, torch.inf)


def _compute_cosines(embedding: Tensor) -> Tensor:
    directions = normalize_vectors(_subtract_pairs(embedding), dim=2)
    return directions @ directions.transpose(1, 2)
