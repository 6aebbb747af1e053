"""Vectors reduced to their direction."""

import torch
from torch import Tensor


def normalize_vectors(vectors: Tensor, dim: int = 1) -> Tensor:
    """Divide vectors by their L2 norm. A zero vector stays zero and passes no gradient.

    `torch.nn.functional.normalize` divides a zero vector by 1e-12 instead: the same value, and a gradient of 1e12 for a
    dead channel or for two equal embeddings.

    Args:
        vectors: Any shape.
        dim: The dimension the norm is taken over.
    """
    norm: Tensor = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    return vectors / norm.masked_fill(norm == 0, torch.inf)
