"""Vectors of length 1."""

import torch
from torch import Tensor


def normalize_vectors(vectors: Tensor, dim: int = 1) -> Tensor:
    """Divide vectors by their L2 norm. A zero vector stays zero and passes no gradient.

    `torch.nn.functional.normalize` divides a zero vector by 1e-12 instead. The value is the same, but a dead channel,
    or the difference of two equal embeddings, would get a gradient of 1e12.

    Args:
        vectors: A tensor of any shape.
        dim: The dimension along which the vectors lie.
    """
    norm: Tensor = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    return vectors / norm.masked_fill(norm == 0, torch.inf)
