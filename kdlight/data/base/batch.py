"""The batch that a loader passes to a method."""

__all__ = ["Batch"]

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Images with their targets and places in the split.

    Attributes:
        images: (batch, channels, height, width). They are uint8 when they are loaded, and float32 and normalised when
            the batch is on the device. If a method trains on several views (augmented versions) of each sample, these
            are stacked along the batch: all first views, then all second views.
        target: (batch,) int64 class; -1 for an unlabelled sample.
        index: (batch,) int64 place of the sample in its split. The memory of the method `CRD` and the teacher
            cache (the teacher's stored outputs) have a row for each place.
        targets: Further (batch,) targets by name, e.g. CIFAR-100's ``coarse``.
    """

    images: Tensor
    target: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which is not needed
    targets: dict[str, Tensor] = {}  # noqa: RUF012  # a default that is never changed
