"""Which samples are held out, and which are kept."""

import torch
from torch import Tensor


def _rank_within_class(target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns each sample's place in a shuffle of its class, (n,), and the size of its class, (n,)."""
    _, label, counts = torch.unique(target, return_inverse=True, return_counts=True)
    shuffled = torch.randperm(len(target), generator=generator)
    by_class = shuffled[label[shuffled].argsort(stable=True)]
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(label)
    rank[by_class] = torch.arange(len(target)) - starts.repeat_interleave(counts)
    return rank, counts[label]


def stratified_order(target: Tensor, generator: torch.Generator) -> Tensor:
    """Returns a random permutation (n,) whose every prefix has the class proportions of `target` (n,).

    No class of a prefix is off its share by more than one sample.
    """
    rank, count = _rank_within_class(target, generator)
    quantile = (rank + 0.5) / count.double()
    ties = torch.randperm(len(target), generator=generator)
    return ties[quantile[ties].argsort(stable=True)]


def first_per_class(target: Tensor, per_class: int, generator: torch.Generator) -> Tensor:
    """Returns the places of `per_class` random samples of each class in `target` (n,), ascending."""
    rank, _ = _rank_within_class(target, generator)
    return (rank < per_class).nonzero().flatten()
