"""Where a feature map is active: the attention map of AT and FT."""

from torch import Tensor

from kdlight.losses.parts.directions import unit


def attention(feature: Tensor) -> Tensor:
    """Compute the unit vector (batch, height * width) of the mean over channels of the squared map."""
    return unit(feature.square().mean(1).flatten(1))
