"""PKT: Passalis, Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer", ECCV 2018.

arXiv 1803.10837.
"""

__all__ = ["pkt_loss"]

import torch
from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_batch

EPSILON = 1e-7


@widen_half_precision
def pkt_loss(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """Compare the conditional probabilities p(j|i) that sample j is a neighbour of sample i, by their KL divergence.

    p(j|i) is proportional to the cosine similarity of the embeddings of i and j, mapped from [-1, 1] to [0, 1]. As in
    the authors' code, the terms of the divergence are averaged over all pairs, and 1e-7 is added to norms and
    probabilities.

    Args:
        student_embedding: (batch, ...), flattened to one vector per sample.
        teacher_embedding: (batch, ...); only the batch size has to be that of the student. No gradient reaches it.

    Raises:
        UserError: If the batch sizes differ.
    """
    require_same_batch(student_embedding, teacher_embedding)
    student, teacher = _weigh_neighbours(student_embedding), _weigh_neighbours(teacher_embedding.detach())
    return (teacher * ((teacher + EPSILON) / (student + EPSILON)).log()).mean()


def _weigh_neighbours(embedding: Tensor) -> Tensor:
    rows = embedding.flatten(1)
    norm: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    rows = rows / (norm + EPSILON)
    similarity = ((rows @ rows.T + 1) / 2).clamp(min=0)  # rounding may give a cosine below -1
    return similarity / similarity.sum(1, keepdim=True)
