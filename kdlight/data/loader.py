"""Batches of a split in memory, in an order that follows from numbers alone.

A torch ``DataLoader`` fetches, collates and ships single images to pay for slow decoding; images in memory need none
of it. Lightning takes any sized iterable as a loader and leaves one that is no ``DataLoader`` as it is, so the shares
of the processes are cut here: without repeated images, which Lightning's own sampler adds to make shares equal.
"""

from collections.abc import Iterable, Iterator, Sized
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from kdlight.data.batch import Batch
from kdlight.data.samples import Samples
from kdlight.data.seeding import seeded_generator


class BatchIndices(Iterable[Tensor], Sized, Protocol):
    """The (batch,) indices of one pass over a split, for one process."""


class TrainingIndices:
    """A new shuffle each epoch, in full batches and a smaller last one.

    The processes see disjoint images: a shuffle is dealt round, and the images that would make the shares unequal sit
    out that epoch (at most ``processes - 1`` of them, others each time). The global batch of n processes is the batch
    that one process with n times the batch size would take. A last batch of a single image is dropped, because batch
    normalisation cannot take its variance.
    """

    def __init__(
        self, size: int, *, batch_size: int, seed: int, shuffle: bool = True, processes: int = 1, rank: int = 0
    ) -> None:
        self._size, self._batch_size, self._seed, self._shuffle = size, batch_size, seed, shuffle
        self._processes, self._rank = processes, rank
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the shuffle; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        full, rest = divmod(self._size // self._processes, self._batch_size)
        return full + (rest > 1)

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.arange(self._size)
        if self._shuffle:
            order = torch.randperm(self._size, generator=seeded_generator(self._seed, self.epoch))
        even = self._size - self._size % self._processes
        share = order[self._rank : even : self._processes]
        for batch in range(len(self)):
            yield share[batch * self._batch_size : (batch + 1) * self._batch_size]


def evaluation_indices(size: int, *, batch_size: int, processes: int = 1, rank: int = 0) -> BatchIndices:
    """Deals every image to exactly one process, in order, so that averages over processes are exact.

    All processes get the same number of batches, for they meet in collective operations; so batches are of equal size
    as nearly as possible, and none exceeds `batch_size`.
    """
    largest_share = -(-size // processes)
    batches = max(1, -(-largest_share // batch_size))
    return torch.arange(size)[rank::processes].tensor_split(batches)


class BatchLoader:
    """Fetches batch after batch in the calling process."""

    def __init__(self, samples: Samples, indices: BatchIndices, *, pin_memory: bool = False) -> None:
        self.samples = samples
        self._indices = indices
        self._pin_memory = pin_memory

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[Batch]:
        return map(self._fetch, self._indices)

    def _fetch(self, index: Tensor) -> Batch:
        batch = self.samples.batch(index)
        return _pinned(batch) if self._pin_memory else batch


class TrainingLoader(BatchLoader):
    """A loader whose order changes with the epoch, and which a checkpoint inside an epoch can resume where it was.

    Attributes:
        sampler: the indices; by this name Lightning finds their ``set_epoch``.
    """

    def __init__(self, samples: Samples, indices: TrainingIndices, *, pin_memory: bool = False) -> None:
        super().__init__(samples, indices, pin_memory=pin_memory)
        self.sampler = indices
        self._fetched = 0
        self._resumed = {"epoch": -1, "fetched": 0}

    def __iter__(self) -> Iterator[Batch]:
        # Lightning restores the state also after the last batch of an epoch: it is for the epoch it was saved in.
        self._fetched = self._resumed["fetched"] if self._resumed["epoch"] == self.sampler.epoch else 0
        for index in islice(self._indices, self._fetched, None):
            self._fetched += 1
            yield self._fetch(index)

    def state_dict(self) -> dict[str, int]:
        """Lightning saves this in its checkpoints."""
        return {"epoch": self.sampler.epoch, "fetched": self._fetched}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on after the batches that the checkpoint has seen."""
        self._resumed = state


def _pinned(batch: Batch) -> Batch:
    """Moves a batch to page-locked memory: a copy to the device from any other memory waits for the device."""
    targets = {name: values.pin_memory() for name, values in batch.targets.items()}
    return Batch(batch.images.pin_memory(), batch.target.pin_memory(), batch.index.pin_memory(), targets)
