"""Random streams that depend on what they are for, and on nothing that happened before."""

import numpy as np
import torch


def derived_seed(*entropy: int) -> int:
    """Returns a seed for these non-negative numbers, e.g. (seed, epoch, view).

    Zeros at the end do not count, so purposes that share a seed end with numbers of their own. The numbers are hashed:
    with a sum, as in ``torch.utils.data.DistributedSampler``, seed 1 would begin with the second epoch of seed 0, and
    runs that are meant to differ by chance alone would share their shuffles.
    """
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])


def seeded_generator(*entropy: int) -> torch.Generator:
    """Returns a CPU generator for these non-negative numbers, see `derived_seed`."""
    return torch.Generator().manual_seed(derived_seed(*entropy))
