"""A split held in memory as whole tensors."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kdlight.data.batch import Batch


@dataclass(frozen=True)
class Samples:
    """All images of a split and their targets.

    Attributes:
        images: (n, channels, height, width) uint8.
        target: (n,) int64 class; -1 for an unlabelled sample.
        targets: further (n,) int64 targets by name.
    """

    images: Tensor
    target: Tensor
    targets: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.target)

    def subset(self, index: Tensor) -> "Samples":
        """Keeps the samples at `index` (m,), in that order."""
        targets = {name: values[index] for name, values in self.targets.items()}
        return Samples(self.images[index], self.target[index], targets)

    def unlabelled(self) -> "Samples":
        """Forgets the targets."""
        return Samples(self.images, torch.full_like(self.target, -1))

    def batch(self, index: Tensor) -> Batch:
        """Fetches the samples at `index` (batch,) in one go, which is much faster than image by image."""
        chosen = self.subset(index)
        return Batch(chosen.images, chosen.target, index, chosen.targets)
