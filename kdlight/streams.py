"""Derive seeds from the purpose of random numbers, so that these numbers do not depend on what was drawn before."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

STREAMS_VERSION = 2  # Add 1 when a stream changes: teacher caches and checkpoints of another version are refused.


class Stream(IntEnum):
    """The purposes of random numbers. A member's value never changes and is never given to another member."""

    VALIDATION_SPLIT = 1
    TRAIN_PER_CLASS = 2
    LABEL_NOISE = 3
    DIGITS_TEST_SET = 4
    PROBE_IMAGES = 5
    SHUFFLE = 6
    VIEW = 7
    STRONG_VIEW = 8
    STEP = 9
    CONTRASTIVE_MEMORY = 10
    SHAPE_CHECK = 11
    RANDOM_IMAGES = 12
    FITTED_HALF = 13
    PROBE_HALVES = 14
    PCA = 15
    K_MEANS = 16
    BOOTSTRAP = 17
    FITTED_PARTS = 18
    BEARABLE_CLUSTERS = 19


def derive_seed(stream: Stream, *numbers: int) -> int:
    """Return the 64-bit seed of a purpose, e.g. ``derive_seed(Stream.SHUFFLE, seed, epoch)``.

    The numbers are hashed. ``torch.utils.data.DistributedSampler`` adds seed and epoch instead. There the first epoch
    of seed 1 has the same shuffle as the second epoch of seed 0, but runs with different seeds should share no shuffle.

    Args:
        stream: What the random numbers are for.
        numbers: What else the random numbers depend on, each in [0, 2^64). All calls for the same purpose must pass
            equally many numbers: two lists that differ only by a zero at the end can give the same seed.
    """
    # SeedSequence itself would split each number into as few 32-bit words as it needs, so two different lists of
    # numbers could give the same words. With two words for each number, different lists of the same length cannot.
    words = [word for number in (stream, *numbers) for word in (number & 0xFFFFFFFF, number >> 32)]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


def make_generator(stream: Stream, *numbers: int) -> torch.Generator:
    """Return a CPU generator with the seed that `derive_seed` returns."""
    import torch  # imported here, because `kdlight.information` uses the seeds without torch

    return torch.Generator().manual_seed(derive_seed(stream, *numbers))
