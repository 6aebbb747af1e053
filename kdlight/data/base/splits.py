"""Divide a training set into the samples that are held out and those that are trained on."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kdlight.errors import UserError
from kdlight.streams import Stream, make_generator

SPLIT_SEED = 0  # the same in every run, so that runs with different seeds are comparable


def _rank_within_class(target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shuffle each class; return each sample's place in its shuffled class, (n,), and the size of its class, (n,)."""
    _, label, counts = torch.unique(target, return_inverse=True, return_counts=True)
    shuffled = torch.randperm(len(target), generator=generator)
    by_class = shuffled[label[shuffled].argsort(stable=True)]
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(label)
    rank[by_class] = torch.arange(len(target)) - starts.repeat_interleave(counts)
    return rank, counts[label]


def draw_stratified_order(target: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random permutation (n,) of which every prefix has nearly the class proportions of `target` (n,).

    If all classes have the same size, a prefix has at most one sample more of one class than of another.
    """
    rank, count = _rank_within_class(target, generator)
    quantile = (rank + 0.5) / count.double()
    ties = torch.randperm(len(target), generator=generator)
    return ties[quantile[ties].argsort(stable=True)]


def choose_per_class(target: Tensor, per_class: int, generator: torch.Generator) -> Tensor:
    """Return the places of `per_class` random samples of each class in `target` (n,), ascending."""
    rank, _ = _rank_within_class(target, generator)
    return (rank < per_class).nonzero().flatten()


def hold_out(
    target: Tensor, val_size: int, train_per_class: int | None, class_names: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Divide a training set into samples to train on and samples held out, in the same way in every run.

    Args:
        target: (n,) class of each sample.
        val_size: The number of samples to hold out. They have nearly the class proportions of the whole training set.
        train_per_class: The number of samples of each class to keep, among those not held out; None: all of them.
        class_names: The names of the classes, for the error message.

    Returns:
        The places of the samples to train on, and the places of the samples held out, both ascending.

    Raises:
        UserError: If no samples are left to train on, or a class has fewer than `train_per_class` samples left.
    """
    if val_size >= len(target):
        raise UserError(f"val_size={val_size} leaves nothing to train on: the training set has {len(target)} images")
    order = draw_stratified_order(target, make_generator(Stream.VALIDATION_SPLIT, SPLIT_SEED))
    held_out, kept = order[:val_size].sort().values, order[val_size:].sort().values
    if train_per_class is not None:
        counts = torch.bincount(target[kept], minlength=len(class_names))
        if train_per_class > counts.min():
            raise UserError(
                f"train_per_class={train_per_class} is more than the {counts.min()} images that are left of class "
                f"{class_names[int(counts.argmin())]!r} with val_size={val_size}: lower train_per_class or val_size"
            )
        kept = kept[choose_per_class(target[kept], train_per_class, make_generator(Stream.TRAIN_PER_CLASS, SPLIT_SEED))]
    return kept, held_out


def add_label_noise(target: Tensor, fraction: float, num_classes: int) -> Tensor:
    """Replace a fraction of the labels (n,) by other classes, uniformly drawn, in the same way in every run."""
    generator = make_generator(Stream.LABEL_NOISE, SPLIT_SEED)
    chosen = torch.randperm(len(target), generator=generator)[: round(fraction * len(target))]
    steps = torch.randint(1, num_classes, (len(chosen),), generator=generator)
    result = target.clone()
    result[chosen] = (target[chosen] + steps) % num_classes
    return result
