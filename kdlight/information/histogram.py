"""The joint histogram of two sources and a target."""

__all__ = ["expand_histogram", "joint_histogram"]

import numpy as np
import numpy.typing as npt

from kdlight.errors import UserError


def joint_histogram(
    first: npt.ArrayLike, second: npt.ArrayLike, target: npt.ArrayLike, sizes: tuple[int, int, int] | None = None
) -> npt.NDArray[np.int64]:
    """Count how often each combination of symbols occurs.

    The result holds counts instead of probabilities, because the bias and the interval of an estimated information
    depend on the number of samples, which probabilities do not tell. If several batches of samples are counted with the
    same ``sizes``, their counts may be added. `kdlight.information.broja`, which decomposes the information, takes
    probabilities: the counts divided by their sum.

    Args:
        first: Symbols of the first source, integers from 0, shape (samples,).
        second: Symbols of the second source, of the same shape.
        target: Symbols of the target, of the same shape.
        sizes: How many symbols first, second and target have; by default the largest symbol that occurs plus one.

    Returns:
        Counts with axes (first source, second source, target).

    Raises:
        UserError: If there is no sample, if the three arrays are not one-dimensional or differ in length, or if symbols
            are out of range or are not integers.
    """
    symbols = [np.asarray(values) for values in (first, second, target)]
    names = ("first", "second", "target")
    for name, values in zip(names, symbols, strict=True):
        if values.ndim != 1 or values.size == 0 or not np.issubdtype(values.dtype, np.integer):
            raise UserError(f"{name}: expected integers of shape (samples,), got {values.dtype} of {values.shape}")
    if len({len(values) for values in symbols}) > 1:
        lengths = ", ".join(f"{len(values)} of {name}" for name, values in zip(names, symbols, strict=True))
        raise UserError(f"expected the same number of symbols of each variable, got {lengths}")
    shape = tuple(int(values.max()) + 1 for values in symbols) if sizes is None else tuple(sizes)
    for name, values, size in zip(names, symbols, shape, strict=True):
        if values.min() < 0 or values.max() >= size:
            raise UserError(f"{name}: expected symbols from 0 to {size - 1}, got {values.min()} to {values.max()}")
    cells = np.ravel_multi_index(tuple(values.astype(np.int64) for values in symbols), shape)
    return np.asarray(np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape), dtype=np.int64)


def expand_histogram(counts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    """Return samples that have this histogram: one array of symbols (samples,) for each axis, for `estimate_pid`.

    Args:
        counts: What `joint_histogram` returned, or the ``counts`` of the metric
            `kdlight.metrics.PartialInformationDecomposition`.
    """
    cells = np.repeat(np.arange(counts.size), counts.ravel())
    return tuple(np.unravel_index(cells, counts.shape))
