"""Joints like those of two networks and a label, whose decomposition a solver knows as exactly as one likes.

Axes are (first source, second source, label); the labels are equally frequent.
"""

import numpy as np

from kdlight.information.entropies import Array

#: Part of a source's symbols that say nothing.
_NOISE = 0.02


def classifiers(classes: int, *, first: float, second: float, copied: float) -> Array:
    """Two classifiers, of which each confuses a class with another one of its own; the second partly repeats the first.

    Args:
        classes: of the label, even; each source has as many symbols.
        first: accuracy of the first, short of 2 % noise.
        second: accuracy of the second where it looks for itself, likewise.
        copied: probability that it repeats the first.
    """
    labels = np.arange(classes)
    of_first, own = (
        (1 - _NOISE) * (right * np.eye(classes)[labels] + (1 - right) * np.eye(classes)[mistaken]) + _NOISE / classes
        for right, mistaken in ((first, labels ^ 1), (second, (labels + 2) % classes))
    )
    return _pair(of_first.T, own.T, copied)


def clusters(classes: int, bins: int, *, kept: float, copied: float, seed: int = 0) -> Array:
    """Sources that gather classes in bins, each its own way; the second partly repeats the first.

    Args:
        classes: of the label.
        bins: symbols of each source.
        kept: probability of a class to be in its bin; else it is in any.
        copied: probability that the second repeats the first.
        seed: of which classes share a bin.
    """
    rng = np.random.default_rng(seed)
    homes = (rng.permutation(classes) % bins for _ in range(2))
    of_first, own = (kept * np.eye(bins)[:, home] + (1 - kept) / bins for home in homes)
    return _pair(of_first, own, copied)


def peaked(classes: int, bins: int, *, copied: float = 0.0, seed: int = 0) -> Array:
    """Sources whose symbols are drawn for each class, with weights that are large for few.

    Args:
        classes: of the label.
        bins: symbols of each source.
        copied: probability that the second repeats the first; 0: independent given the class.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.standard_exponential((bins, classes)) ** 4 for _ in range(2)]
    of_first, own = (weights / weights.sum(axis=0) for weights in drawn)
    return _pair(of_first, own, copied)


def sparse(bins: int, classes: int, *, seed: int = 0) -> Array:
    """Weights of which few are large and most are zero. Here the labels are not equally frequent."""
    weights = np.floor(2 * np.random.default_rng(seed).standard_exponential((bins, bins, classes)) ** 3)
    return np.asarray(weights / weights.sum())


def _pair(first: Array, own: Array, copied: float) -> Array:
    """Of P(first | label) and what the second sees where it does not repeat the first, each (bins, classes)."""
    repeated = np.eye(len(first))[:, :, None]
    return np.asarray(first[:, None] * (copied * repeated + (1 - copied) * own) / first.shape[1])
