"""CRD: Tian, Krishnan, Isola, "Contrastive Representation Distillation", ICLR 2020 (arXiv 1910.10699).

The formulas are those of the authors' code (github.com/HobbitLong/RepDistiller), computed in log space. The class
`kdlight.methods.CRD` computes the embeddings, stores the memories (for each network, an embedding of every training
sample), and draws the negatives (samples of other classes).
"""

__all__ = ["crd_log_normalizer", "crd_loss", "crd_memory_rows", "crd_similarities"]

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlight.errors import UserError
from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_shape

EPSILON = 1e-7


@widen_half_precision
def crd_similarities(embedding: Tensor, candidates: Tensor, *, temperature: float) -> Tensor:
    """Compute the inner products of every sample's embedding with its candidates, divided by the temperature.

    Args:
        embedding: (batch, dim), unit norm.
        candidates: Rows of the other network's memory. The student's embedding is compared with the teacher's memory,
            and the teacher's embedding with the student's memory. Either (batch, 1 + negatives, dim): for each sample
            first the positive (the row of the same sample), then the negatives. Or (samples, dim): rows with which
            every sample of the batch is compared.
        temperature: tau of the paper, positive; 0.07 in the authors' code.

    Returns:
        (batch, 1 + negatives), or (batch, samples).
    """
    rows = "kd" if candidates.dim() == 2 else "bkd"
    return torch.einsum(f"{rows},bd->bk", candidates, embedding) / temperature


@widen_half_precision
def crd_log_normalizer(similarities: Tensor, *, samples: int) -> Tensor:
    """Compute log Z, where Z is the size of the training set times the mean of exp(similarity) in the first batch.

    A score is a similarity minus log Z. `kdlight.methods.CRD` computes log Z once, for the first batch, and keeps it.

    Args:
        similarities: (batch, 1 + negatives) of the first batch; no gradient reaches it.
        samples: Size of the training set.
    """
    scores = similarities.detach().flatten()
    return scores.logsumexp(0) + math.log(samples / len(scores))


@widen_half_precision
def crd_loss(student_scores: Tensor, teacher_scores: Tensor, *, samples: int) -> Tensor:
    """Compute the loss of noise-contrastive estimation in both directions, averaged over the batch.

    With P = exp(score), K negatives of each sample, n training samples and eps = 1e-7, the loss of one direction is the
    sum of ``-log[P / (P + K/n + eps)]`` for the positive and of ``-log[(K/n) / (P + K/n + eps)]`` for every negative.
    One direction compares the student's embedding with the teacher's memory, the other compares the teacher's embedding
    with the student's memory. Gradients reach the scores of both directions, because the embeddings of both networks
    are computed by layers that are trained with the student.

    Args:
        student_scores: (batch, 1 + negatives), `crd_similarities` minus `crd_log_normalizer`, the positive first.
        teacher_scores: The same for the teacher's embedding and the student's memory.
        samples: n, the size of the training set.

    Raises:
        UserError: If the shapes differ or there is no negative.
    """
    require_same_shape(student_scores, teacher_scores)
    if student_scores.shape[1] < 2:
        raise UserError(
            "expected scores of a positive and at least one negative for each sample, got shape "
            f"{tuple(student_scores.shape)}; draw at least one negative"
        )
    return _compute_noise_contrastive(student_scores, samples) + _compute_noise_contrastive(teacher_scores, samples)


@widen_half_precision
def crd_memory_rows(rows: Tensor, embedding: Tensor, *, momentum: float) -> Tensor:
    """Compute the memory's new rows: momentum * row + (1 - momentum) * embedding, normalised to length 1.

    Args:
        rows: (batch, dim), the old rows.
        embedding: (batch, dim), unit norm.
        momentum: Between 0 and 1; 0.5 in the authors' code.

    Returns:
        (batch, dim), unit norm.
    """
    return F.normalize(momentum * rows + (1 - momentum) * embedding)


def _compute_noise_contrastive(scores: Tensor, samples: int) -> Tensor:
    noise = (scores.shape[1] - 1) / samples
    log_sum = torch.logaddexp(scores, scores.new_full((), math.log(noise + EPSILON)))
    positive = log_sum[:, 0] - scores[:, 0]
    negative = (log_sum[:, 1:] - math.log(noise)).sum(1)
    return (positive + negative).mean()
