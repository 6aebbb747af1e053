"""Batches of a split, in an order that depends only on seed and epoch.

A ``DataLoader`` of torch fetches single images and collates them, which is slow for images in memory. The loaders in
this file fetch whole batches. Lightning accepts any sized iterable as a loader, but distributes only the images of a
``DataLoader`` over several processes. Therefore the loaders in this file distribute the images themselves. Unlike
``DistributedSampler``, they do not repeat images to make the processes' shares equal.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from itertools import islice
from typing import Protocol

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.data.base.samples import Split
from kdlight.errors import UserError
from kdlight.streams import STREAMS_VERSION, Stream, make_generator

CPU = torch.device("cpu")


class BatchIndices(Iterable[Tensor], Sized, Protocol):
    """The batches that one process gets in one pass over a split. Each is a tensor (batch,) of indices of samples."""


class TrainingIndices:
    """The indices of the training batches, in a new order each epoch. The last batch may be smaller.

    Each of n processes gets every n-th image of the shuffle. Images that would make the shares unequal are left out of
    the epoch (at most n - 1, different ones in each epoch). In each step, the n processes together get the batch that
    one process with n times the batch size would get. If the last batch has a single image, it is dropped, because
    batch norm cannot compute a variance from one image.
    """

    def __init__(
        self,
        size: int,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        processes: int = 1,
        rank: int = 0,
        device: torch.device = CPU,
    ) -> None:
        self._size, self._batch_size, self._seed, self._shuffle = size, batch_size, seed, shuffle
        self._processes, self._rank, self._device = processes, rank, device
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle of an epoch. Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        full, rest = divmod(self._size // self._processes, self._batch_size)
        return full + (rest > 1)

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.arange(self._size)
        if self._shuffle:
            order = torch.randperm(self._size, generator=make_generator(Stream.SHUFFLE, self._seed, self.epoch))
        even = self._size - self._size % self._processes
        share = order[self._rank : even : self._processes].to(self._device)  # copied once per epoch, not in every step
        for batch in range(len(self)):
            yield share[batch * self._batch_size : (batch + 1) * self._batch_size]


def make_evaluation_indices(
    size: int, *, batch_size: int, processes: int = 1, rank: int = 0, device: torch.device = CPU
) -> BatchIndices:
    """Assign every image to exactly one process, so that averages over all processes are exact.

    All processes get the same number of batches, because they take part in collective operations together. The batches
    have almost equal sizes, at most `batch_size`.
    """
    largest_share = -(-size // processes)
    batches = max(1, -(-largest_share // batch_size))
    return torch.arange(size, device=device)[rank::processes].tensor_split(batches)


class BatchLoader:
    """A loader that fetches batch after batch of a split.

    Args:
        samples: The split.
        indices: The indices of each batch, on the samples' device.
        pin_memory: Put batches into page-locked memory, from which they are copied to a GPU while the program goes on.
    """

    def __init__(self, samples: Split, indices: BatchIndices, *, pin_memory: bool = False) -> None:
        self.samples = samples
        self._indices = indices
        self._pin_memory = pin_memory

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[Batch]:
        return self.samples.fetch_batches(self._indices, pin_memory=self._pin_memory)


class TrainingLoader(BatchLoader):
    """A loader whose order changes in each epoch. It can continue in the middle of an epoch, from a checkpoint.

    Args:
        samples: The training split.
        indices: The indices of each batch, on the samples' device.
        parameters: A function that returns the random choices for the views (augmented versions) of all samples in an
            epoch. A split of image files uses them to crop each image while decoding it. A split in memory ignores
            them, because its images are cropped later, as whole batches.
        pin_memory: Put batches into page-locked memory, from which they are copied to a GPU while the program goes on.

    Attributes:
        sampler: The indices. Lightning looks for an attribute of this name and calls its ``set_epoch``.
    """

    def __init__(
        self,
        samples: Split,
        indices: TrainingIndices,
        *,
        parameters: Callable[[int], Mapping[str, Tensor]] = lambda epoch: {},
        pin_memory: bool = False,
    ) -> None:
        super().__init__(samples, indices, pin_memory=pin_memory)
        self.sampler = indices
        self._parameters = parameters
        self._fetched = 0
        self._resumed = {"epoch": -1, "fetched": 0}

    def __iter__(self) -> Iterator[Batch]:
        # If the checkpoint was written in another epoch, for example at the end of the previous one, begin at batch 0.
        self._fetched = self._resumed["fetched"] if self._resumed["epoch"] == self.sampler.epoch else 0
        samples = self.samples.with_views(self._parameters(self.sampler.epoch))
        rest = list(islice(self._indices, self._fetched, None))
        for batch in samples.fetch_batches(rest, pin_memory=self._pin_memory):
            self._fetched += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the position in the epoch, which Lightning saves in its checkpoints."""
        return {"epoch": self.sampler.epoch, "fetched": self._fetched, "streams": STREAMS_VERSION}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after the batches that were fetched before the checkpoint.

        Raises:
            UserError: If the checkpoint's shuffles and views were drawn in another way, so that images would be seen
                twice or not at all.
        """
        if state.get("streams") != STREAMS_VERSION:
            raise UserError(
                "the checkpoint is of another version of kdlight, which shuffles the images in another way: expected "
                f"random streams of version {STREAMS_VERSION}, got version {state.get('streams', 1)}; start a new run "
                "from the checkpoint's weights: --model.student_weights PATH"
            )
        self._resumed = state


def make_training_loader(
    samples: Split,
    trainer: Trainer | None,
    *,
    batch_size: int,
    seed: int,
    parameters: Callable[[int], Mapping[str, Tensor]],
) -> TrainingLoader:
    """Make the loader of a training split for this process.

    Args:
        samples: The training split, on the device on which its batches are fetched.
        trainer: The trainer, which knows how many processes share the data; None for one process.
        batch_size: Images per step and process.
        seed: Seed of the shuffles.
        parameters: A function that returns the random choices for the views of all samples in an epoch.
    """
    processes, rank = _find_share(trainer)
    indices = TrainingIndices(
        len(samples),
        batch_size=batch_size,
        seed=seed,
        shuffle=not getattr(trainer, "overfit_batches", 0),
        processes=processes,
        rank=rank,
        device=samples.device,
    )
    return TrainingLoader(samples, indices, parameters=parameters, pin_memory=_should_pin(samples, trainer))


def make_evaluation_loader(samples: Split, trainer: Trainer | None, *, batch_size: int) -> BatchLoader:
    """Make the loader of a validation split or test set for this process; arguments as in `make_training_loader`."""
    processes, rank = _find_share(trainer)
    indices = make_evaluation_indices(
        len(samples), batch_size=batch_size, processes=processes, rank=rank, device=samples.device
    )
    return BatchLoader(samples, indices, pin_memory=_should_pin(samples, trainer))


def _find_share(trainer: Trainer | None) -> tuple[int, int]:
    """Return how many processes share the data, and the rank of this process."""
    share = trainer.distributed_sampler_kwargs if trainer is not None else None
    return (share["num_replicas"], share["rank"]) if share else (1, 0)


def _should_pin(samples: Split, trainer: Trainer | None) -> bool:
    """Return whether batches are copied from the CPU to a GPU."""
    return trainer is not None and trainer.strategy.root_device.type == "cuda" and samples.device.type == "cpu"
