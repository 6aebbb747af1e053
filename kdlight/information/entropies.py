"""Entropy and mutual information of discrete distributions, in bits."""

__all__ = ["entropy", "mutual_information"]

import numpy as np
import numpy.typing as npt

from kdlight.errors import UserError

Array = npt.NDArray[np.float64]

#: How far the sum of a distribution may be from one: float32 tables summed naively stay well inside.
_SUM_TOLERANCE = 1e-5


def probabilities(p: npt.ArrayLike, *, dims: tuple[int, ...], name: str = "p") -> Array:
    """Checks a table of probabilities and normalises it to sum to one within float64 rounding.

    Args:
        p: the table; with a leading batch axis, each entry of the batch is a distribution.
        dims: the numbers of axes allowed. The largest of several means a batch of the smallest.
        name: what to call the table in an error.

    Returns:
        A float64 copy whose distributions sum to one.

    Raises:
        UserError: for a wrong number of axes, an empty axis, a negative or non-finite entry, or a sum away from one.
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
    """Shannon entropy in bits of a distribution, whatever its number of axes.

    Raises:
        UserError: if ``p`` is not a distribution.
    """
    table = probabilities(p, dims=(max(np.ndim(p), 1),))
    positive = table[table > 0]
    return max(0.0, -float(positive @ np.log2(positive)))


def mutual_information(p: npt.ArrayLike) -> float:
    """Mutual information in bits between the two axes of a joint distribution.

    Args:
        p: joint distribution, shape (X, Y).

    Raises:
        UserError: if ``p`` is not a joint distribution of two variables.
    """
    table = probabilities(p, dims=(2,))
    product = table.sum(axis=1, keepdims=True) * table.sum(axis=0)
    positive = table > 0
    # Non-negative by Jensen's inequality; the sum of its terms can fall below zero by rounding.
    return max(0.0, float(table[positive] @ np.log2(table[positive] / product[positive])))
