"""What a classifier computes on its way from images to logits."""

from typing import NamedTuple

from torch import Tensor


class Activations(NamedTuple):
    """One forward pass of a classifier.

    Attributes:
        logits: (batch, classes).
        embedding: (batch, dim), the input of the classifier head.
        stages: The feature maps at the end of each stage, in order, (batch, channels, height, width).
        preactivations: The same maps before the ReLU that follows them, or None where the network has no such ReLU.
            For pre-activation networks: after the next batch norm, before its ReLU.
        stem: The feature map that enters the first stage, or None where it is not known.
        member_logits: Each member's logits where the classifier is an `Ensemble`; empty for a single network.
    """

    logits: Tensor
    embedding: Tensor
    stages: tuple[Tensor, ...]
    preactivations: tuple[Tensor, ...] | None = None
    stem: Tensor | None = None
    member_logits: tuple[Tensor, ...] = ()
