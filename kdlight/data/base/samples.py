"""`Split`, the interface to the samples of a split, and `Samples`, a split whose images are tensors in memory."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from kdlight.data.base.batch import Batch


class Split(ABC):
    """Samples in a fixed order, whose images are in memory or in files.

    Attributes:
        target: (n,) int64 class; -1 for an unlabelled sample.
        targets: Further (n,) int64 targets by name.
    """

    target: Tensor
    targets: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.target)

    @property
    def device(self) -> torch.device:
        """The device of the samples; the indices of batches have to be on it, too."""
        return self.target.device

    @abstractmethod
    def with_target(self, target: Tensor) -> Self:
        """Return a copy of the split with the classes `target` (n,)."""

    def without_labels(self) -> Self:
        """Return the split with the class of every sample set to -1, which means unlabelled."""
        return self.with_target(torch.full_like(self.target, -1))

    @abstractmethod
    def select(self, index: Tensor) -> Self:
        """Return the samples at `index` (m,), in that order."""

    @abstractmethod
    def fetch_batch(self, index: Tensor) -> Batch:
        """Fetch the samples at `index` (batch,)."""

    def fetch_batches(self, indices: Iterable[Tensor], *, pin_memory: bool = False) -> Iterator[Batch]:
        """Fetch batch after batch. `pin_memory` puts them into page-locked memory, from which a GPU copies faster."""
        for index in indices:
            yield pin_batch(self.fetch_batch(index)) if pin_memory else self.fetch_batch(index)

    def with_views(self, parameters: Mapping[str, Tensor]) -> Self:
        """Return a split that fetches several views (augmented versions) of each image, each with its own random crop.

        A split in memory is returned unchanged, because its images are cropped later, as whole batches.

        Args:
            parameters: The random choices that determine the views, by name, with one row per sample.
        """
        return self

    def check_images(self) -> None:  # noqa: B027  # images in memory need no check
        """Check that every image can be decoded. Images in memory are not checked, because they have been decoded.

        Raises:
            UserError: If an image file is damaged.
        """

    @abstractmethod
    def sha256(self) -> str:
        """Hash the images in their order, without their targets."""

    def _select_targets(self, index: Tensor) -> dict[str, Tensor]:
        return {name: values[index] for name, values in self.targets.items()}


@dataclass(frozen=True)
class Samples(Split):
    """A split whose images are in memory.

    Attributes:
        images: (n, channels, height, width) uint8.
        target: (n,) int64 class; -1 for an unlabelled sample.
        targets: Further (n,) int64 targets by name.
    """

    images: Tensor
    target: Tensor
    targets: dict[str, Tensor] = field(default_factory=dict)

    def with_target(self, target: Tensor) -> Self:
        """Return a copy of the split with the classes `target` (n,)."""
        return replace(self, target=target)

    def select(self, index: Tensor) -> Self:
        """Return the samples at `index` (m,), in that order."""
        return replace(self, images=self.images[index], target=self.target[index], targets=self._select_targets(index))

    def fetch_batch(self, index: Tensor) -> Batch:
        """Fetch the samples at `index` (batch,) at once, which is much faster than image by image."""
        return Batch(self.images[index], self.target[index], index, self._select_targets(index))

    def sha256(self) -> str:
        """Hash the shape and the bytes of the images."""
        digest = hashlib.sha256(str(tuple(self.images.shape)).encode())
        digest.update(self.images.contiguous().numpy().data)
        return digest.hexdigest()

    def move_if_it_fits(self, device: torch.device, *, free: Callable[[torch.device], int]) -> Self:
        """Return the split on `device`, or unchanged if it is too large.

        It is too large if its images would fill more than a quarter of the free memory that `free` reports.
        """
        if self.images.nbytes * 4 > free(device):
            return self
        moved = {name: values.to(device) for name, values in self.targets.items()}
        return replace(self, images=self.images.to(device), target=self.target.to(device), targets=moved)


def pin_batch(batch: Batch) -> Batch:
    """Copy a batch to page-locked memory, from which it is copied to a GPU while the program goes on."""
    parts = batch._asdict()
    for name, part in parts.items():
        parts[name] = (
            {key: value.pin_memory() for key, value in part.items()} if isinstance(part, dict) else part.pin_memory()
        )
    return Batch(**parts)
