"""Entropy and mutual information of discrete distributions, in bits."""

__all__ = ["entropy", "mutual_information"]

import numpy as np
import numpy.typing as npt

from kdlight.errors import UserError

Array = npt.NDArray[np.float64]

#: How far the sum of a distribution may be from one. Rounding errors of float32 tables are much smaller.
_SUM_TOLERANCE = 1e-5


def check_probabilities(p: npt.ArrayLike, *, dims: tuple[int, ...], name: str = "p") -> Array:
    """Check a table of probabilities and normalise it to sum to one within float64 rounding.

    Args:
        p: The table; with a leading batch axis, each entry of the batch is a distribution.
        dims: Allowed numbers of axes: first the number for one distribution, then, if batches are allowed, the number
            for a batch.
        name: What to call the table in an error.

    Returns:
        A float64 copy whose distributions sum to one.

    Raises:
        UserError: If the number of axes is wrong, an axis is empty, an entry is negative or not finite, or the sum is
            not one.
    """
    table = np.array(p, dtype=np.float64)
    if table.ndim not in dims or table.size == 0:
        expected = " or ".join(str(dim) for dim in dims)
        raise UserError(f"{name}: expected a non-empty array with {expected} axes, got shape {table.shape}")
    if not np.isfinite(table).all():
        raise UserError(f"{name}: expected finite probabilities, got NaN or infinity; check what produced the table")
    if table.min() < 0:
        raise UserError(f"{name}: expected non-negative probabilities, got {table.min():g}")
    total = table.sum(axis=tuple(range(table.ndim - dims[0], table.ndim)), keepdims=True)
    worst = float(total.flat[np.abs(total - 1).argmax()])
    if abs(worst - 1) > _SUM_TOLERANCE:
        raise UserError(f"{name}: expected probabilities that sum to 1, got {worst:g}; divide counts by their sum")
    return np.asarray(table / total)


def entropy(p: npt.ArrayLike) -> float:
    """Compute the Shannon entropy in bits of a distribution with any number of axes.

    Raises:
        UserError: If ``p`` is not a distribution.
    """
    table = check_probabilities(p, dims=(max(np.ndim(p), 1),))
    positive = table[table > 0]
    return max(0.0, -float(positive @ np.log2(positive)))


def split_information(joint: Array) -> Array:
    """Split I(X;Y), in bits, into one term ``P(y) KL(P(x|y) || P(x))`` for each y; ``joint`` has the axes (x, y).

    Divided by P(y), the terms are the specific informations of Williams and Beer, 2010 (arXiv:1004.2515).
    """
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    ratio = np.divide(joint, product, out=np.ones_like(joint), where=joint > 0)
    return np.asarray((joint * np.log2(ratio)).sum(axis=0))


def mutual_information(p: npt.ArrayLike) -> float:
    """Compute the mutual information in bits between the two axes of a joint distribution.

    Args:
        p: Joint distribution, shape (X, Y).

    Raises:
        UserError: If ``p`` is not a joint distribution of two variables.
    """
    table = check_probabilities(p, dims=(2,))
    product = table.sum(axis=1, keepdims=True) * table.sum(axis=0)
    positive = table > 0
    # Mutual information is never negative (Jensen's inequality), but rounding can bring the sum below zero.
    return max(0.0, float(table[positive] @ np.log2(table[positive] / product[positive])))
