"""The attention map of AT (attention transfer) and FT (factor transfer), which shows where a feature map is active."""

from torch import Tensor

from kdlight.losses.parts.unit_vectors import normalize_vectors


def compute_attention_map(feature: Tensor) -> Tensor:
    """Average the square of a map (batch, channels, height, width) over its channels; scale the result to length 1.

    Returns:
        (batch, height * width).
    """
    return normalize_vectors(feature.square().mean(1).flatten(1))
