"""Joint distribution of two sources and a target, counted."""

__all__ = ["joint_histogram", "symbols_of"]

import numpy as np
import numpy.typing as npt

from kdlight.errors import UserError


def joint_histogram(
    first: npt.ArrayLike, second: npt.ArrayLike, target: npt.ArrayLike, sizes: tuple[int, int, int] | None = None
) -> npt.NDArray[np.int64]:
    """Counts how often each combination of symbols occurs.

    Counts, not probabilities: their sum is the number of samples, on which bias and intervals depend. Counts of several
    batches of equal ``sizes`` may be added. Divided by their sum they are what ``broja`` takes.

    Args:
        first: symbols of the first source, integers from 0, shape (samples,).
        second: symbols of the second source, likewise.
        target: symbols of the target, likewise.
        sizes: numbers of symbols of the three; by default the largest symbol plus one.

    Returns:
        Counts, axes (first source, second source, target).

    Raises:
        UserError: if there is no sample, or symbols are not one-dimensional, of one length, integer, or in range.
    """
    symbols = [np.asarray(values) for values in (first, second, target)]
    names = ("first", "second", "target")
    for name, values in zip(names, symbols, strict=True):
        if values.ndim != 1 or values.size == 0 or not np.issubdtype(values.dtype, np.integer):
            raise UserError(f"{name}: expected integers of shape (samples,), got {values.dtype} of {values.shape}")
    if len({len(values) for values in symbols}) > 1:
        lengths = ", ".join(f"{len(values)} of {name}" for name, values in zip(names, symbols, strict=True))
        raise UserError(f"expected as many symbols of each variable, got {lengths}")
    shape = tuple(int(values.max()) + 1 for values in symbols) if sizes is None else tuple(sizes)
    for name, values, size in zip(names, symbols, shape, strict=True):
        if values.min() < 0 or values.max() >= size:
            raise UserError(f"{name}: expected symbols from 0 to {size - 1}, got {values.min()} to {values.max()}")
    cells = np.ravel_multi_index(tuple(values.astype(np.int64) for values in symbols), shape)
    return np.asarray(np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape), dtype=np.int64)


def symbols_of(counts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    """Samples that have this histogram, which ``estimate_pid`` takes: symbols of each axis, shape (samples,) each.

    Args:
        counts: from ``joint_histogram``, or a metric that has counted batches.
    """
    cells = np.repeat(np.arange(counts.size), counts.ravel())
    return tuple(np.unravel_index(cells, counts.shape))
