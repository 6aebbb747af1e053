"""What a classifier computes on its way from images to logits."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
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

    def only(self, fields: Collection[str]) -> "Activations":
        """Forget all other fields, so that the memory of what nobody reads is free; they are empty from then on."""
        return self._replace(**{name: empty for name, empty in ABSENT.items() if name not in fields})

    def map(self, fn: Callable[[Tensor], Tensor]) -> "Activations":
        """Apply a function to every tensor."""
        return Activations(
            fn(self.logits),
            fn(self.embedding),
            tuple(map(fn, self.stages)),
            None if self.preactivations is None else tuple(map(fn, self.preactivations)),
            None if self.stem is None else fn(self.stem),
            tuple(map(fn, self.member_logits)),
        )


# What stands for a field that was not kept.
ABSENT: dict[str, Any] = Activations(torch.empty(0), torch.empty(0), ())._asdict()
