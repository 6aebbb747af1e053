"""Constructed joint distributions of two sources and a label. They resemble measured ones, but are known exactly.

They serve to test estimates of the PID (partial information decomposition of what two sources tell about a label). When
real networks are measured, the sources are networks, and a symbol is an integer that stands for a network's features of
one image. A joint distribution ("joint" for short) is an array of probabilities with the axes (first source, second
source, label). The labels are equally frequent, except in `make_sparse`.
"""

import numpy as np

from kdlight.information.entropies import Array

#: Fraction of a classifier's symbols that are drawn independently of the label.
_NOISE = 0.02


def make_classifiers(classes: int, *, first: float, second: float, copied: float) -> Array:
    """Return the joint of two classifiers that confuse different classes; the second sometimes repeats the first.

    Args:
        classes: Number of the label's classes, which has to be even and at least 4. Each source has one symbol per
            class.
        first: Accuracy of the first classifier, before 2 % of its symbols are replaced by random ones.
        second: The same for the second classifier, where it does not repeat the first.
        copied: Probability that the second classifier repeats the symbol of the first.
    """
    labels = np.arange(classes)
    of_first, own = (
        (1 - _NOISE) * (right * np.eye(classes)[labels] + (1 - right) * np.eye(classes)[mistaken]) + _NOISE / classes
        for right, mistaken in ((first, labels ^ 1), (second, (labels + 2) % classes))
    )
    return _combine(of_first.T, own.T, copied)


def make_clusters(classes: int, bins: int, *, kept: float, copied: float, seed: int = 0) -> Array:
    """Return the joint of two sources, each with a symbol for each group of classes.

    The two sources group the classes differently. The second one sometimes repeats the symbol of the first.

    Args:
        classes: Number of the label's classes.
        bins: Number of symbols of each source.
        kept: Probability with which a sample gets the symbol of its class's group. Otherwise its symbol is drawn at
            random from all symbols.
        copied: Probability that the second source repeats the symbol of the first.
        seed: Seed of the grouping of the classes.
    """
    rng = np.random.default_rng(seed)
    homes = (rng.permutation(classes) % bins for _ in range(2))
    of_first, own = (kept * np.eye(bins)[:, home] + (1 - kept) / bins for home in homes)
    return _combine(of_first, own, copied)


def make_peaked(classes: int, bins: int, *, copied: float = 0.0, seed: int = 0) -> Array:
    """Return the joint of two sources with random P(symbol | class) that is large for few symbols.

    Args:
        classes: Number of the label's classes.
        bins: Number of symbols of each source.
        copied: Probability that the second source repeats the symbol of the first; if 0, the sources are independent
            given the class.
        seed: Seed of the random probabilities.
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.standard_exponential((bins, classes)) ** 4 for _ in range(2)]
    of_first, own = (weights / weights.sum(axis=0) for weights in drawn)
    return _combine(of_first, own, copied)


def make_sparse(bins: int, classes: int, *, seed: int = 0) -> Array:
    """Return a joint in which most probabilities are 0 and a few are large; labels are not equally frequent."""
    weights = np.floor(2 * np.random.default_rng(seed).standard_exponential((bins, bins, classes)) ** 3)
    return np.asarray(weights / weights.sum())


def _combine(first: Array, own: Array, copied: float) -> Array:
    """Return the joint of a first source and a second one that repeats the first with probability `copied`.

    Args:
        first: P(first | label), (bins, classes).
        own: P(second | label) where the second does not repeat the first, (bins, classes).
        copied: Probability that the second repeats the first.
    """
    repeated = np.eye(len(first))[:, :, None]
    return np.asarray(first[:, None] * (copied * repeated + (1 - copied) * own) / first.shape[1])
