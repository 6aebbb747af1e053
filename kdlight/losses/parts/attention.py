"""The attention map of AT and FT: where a feature map is active."""

from torch import Tensor

from kdlight.losses.parts.unit_vectors import normalize_vectors


def compute_attention_map(feature: Tensor) -> Tensor:
    """Compute the unit vector (batch, height * width) of the mean over channels of the squared map."""
    return normalize_vectors(feature.square().mean(1).flatten(1))
