"""Error bars and bias correction for a decomposition estimated from samples."""

__all__ = ["BootstrapPID", "Interval", "bootstrap"]

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kdlight.errors import UserError
from kdlight.information.broja_solver import broja
from kdlight.information.entropies import Array
from kdlight.streams import Stream, derive_seed

#: Standard deviations on either side of a normal variable's mean that hold 95 % of it.
_NORMAL_95 = 1.96


class Interval(NamedTuple):
    """An atom in bits with its 95 % interval. A true value of zero may well be estimated below zero."""

    estimate: float
    """Corrected for bias."""
    lower: float
    upper: float
    plug_in: float
    """The atom of the histogram itself."""


class BootstrapPID(NamedTuple):
    """A decomposition estimated from samples."""

    redundant: Interval
    unique_first: Interval
    unique_second: Interval
    synergistic: Interval
    gap: float
    """Certified bound, in bits, on the numerical error of the estimates."""
    synergy_mostly_bias: bool
    """The bias of I(target; first, second), estimated cautiously, is more than half of the plug-in synergy.

    Then the correction, too, leaves a synergy that is bias for a good part.
    """


def bootstrap(
    counts: npt.ArrayLike, *, resamples: int = 40, subsamples: int = 20, tolerance: float = 1e-5, seed: int = 0
) -> BootstrapPID:
    """BROJA atoms from a histogram, corrected for bias, with 95 % intervals.

    Plug-in informations are biased upwards by about 1/N, and the atoms inherit it. The correction is the quadratic
    extrapolation in 1/N of Strong et al., 1998 (Phys. Rev. Lett. 80, 197): (8 A(N) - 6 A(N/2) + A(N/4)) / 3, over
    random halves and quarters of the samples. The intervals are the estimate +- 1.96 standard deviations, over
    resampled histograms and over the correction's own draws; percentiles of the resamples would not cover, since each
    adds the bias once more.

    Only the histogram is resampled: what another clustering of the features, or another training run, would change is
    not in the intervals.

    Args:
        counts: from ``joint_histogram``, axes (first source, second source, target).
        resamples: histograms drawn with replacement, for the standard deviations.
        subsamples: halves, and quarters, drawn without replacement, for the correction.
        tolerance: passed to ``broja``.
        seed: of the draws; the same seed gives the same result.

    Raises:
        UserError: if ``counts`` are not counts with three axes of at least four samples, or too few draws are asked.

    Warns:
        UserWarning: when there are fewer than five samples for each cell of the histogram.
    """
    table = np.asarray(counts)
    if table.ndim != 3 or not np.issubdtype(table.dtype, np.integer) or table.size == 0 or table.min() < 0:
        raise UserError(
            f"counts: expected integers >= 0 with 3 axes, got {table.dtype} of {table.shape}; see joint_histogram"
        )
    if min(resamples, subsamples) < 2:
        raise UserError(f"expected at least 2 resamples and 2 subsamples, got {resamples} and {subsamples}")
    samples = int(table.sum())
    if samples < 4:
        raise UserError(f"counts: expected at least 4 samples, got {samples}")
    symbols = [int(table.any(axis=axes).sum()) for axes in ((1, 2), (0, 2), (0, 1))]
    cells = int(np.prod(symbols))
    if samples < 5 * cells:
        warnings.warn(
            f"{samples} samples for {' x '.join(map(str, symbols))} = {cells} cells: fewer than 5 a cell, expect bias, "
            "in the synergy above all; use fewer symbols or more samples",
            stacklevel=2,
        )

    rng = np.random.default_rng(derive_seed(Stream.BOOTSTRAP, seed))
    flat = table.ravel()

    def atoms(draw: Callable[[], npt.NDArray[np.int64]], times: int) -> Array:
        draws = (draw().reshape(table.shape) for _ in range(times))
        return np.array([broja(drawn / drawn.sum(), tolerance=tolerance) for drawn in draws], dtype=np.float64)

    def part(size: int) -> Array:
        return atoms(lambda: rng.multivariate_hypergeometric(flat, size, method="marginals"), subsamples)

    plug_in = atoms(lambda: flat, 1)[0]
    halves, quarters = part(samples // 2), part(samples // 4)
    half, quarter = halves.mean(axis=0), quarters.mean(axis=0)
    estimate = (8 * plug_in - 6 * half + quarter) / 3
    sampling = atoms(lambda: rng.multinomial(samples, flat / samples), resamples).var(axis=0, ddof=1)
    correction = (36 * halves.var(axis=0, ddof=1) + quarters.var(axis=0, ddof=1)) / 9 / subsamples
    deviation = np.sqrt(sampling + correction)
    redundant, unique_first, unique_second, synergistic = (
        Interval(float(middle), float(middle - _NORMAL_95 * spread), float(middle + _NORMAL_95 * spread), float(raw))
        for middle, spread, raw in zip(estimate[:4], deviation[:4], plug_in[:4], strict=True)
    )
    gap = float(8 * plug_in[4] + 6 * half[4] + quarter[4]) / 3
    return BootstrapPID(
        redundant,
        unique_first,
        unique_second,
        synergistic,
        gap=gap,
        synergy_mostly_bias=_bias_of_both(table) > max(0.5 * synergistic.plug_in, gap),
    )


def _bias_of_both(counts: npt.NDArray[Any]) -> float:
    """The bias of the plug-in I(target; first, second) in bits, after Miller and Madow.

    It counts the cells that can occur, of which the samples show a part. Chao, 1984, estimates their number from the
    cells seen once and twice; all as if they were equally frequent, so the bias is rather over- than underestimated.
    """

    def cells(table: npt.NDArray[Any]) -> float:
        once, twice = int((table == 1).sum()), int((table == 2).sum())
        return np.count_nonzero(table) + once * (once - 1) / (2 * (twice + 1))

    degrees = cells(counts) - cells(counts.sum(axis=2)) - cells(counts.sum(axis=(0, 1))) + 1
    return max(degrees, 0.0) / (2 * int(counts.sum()) * float(np.log(2)))
