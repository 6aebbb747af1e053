"""Estimate a partial information decomposition (PID) from samples, with bias correction and reproducibility intervals.

A PID splits what two sources tell about a target into four atoms: redundant, unique to the first source, unique to the
second source, and synergistic. The samples are integer symbols. A symbolisation is a particular way of turning features
into symbols, such as a certain clustering.
"""

__all__ = ["estimate_pid"]

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from kdlight.errors import UserError
from kdlight.information.bias import LARGEST_CORRECTED_BIAS, estimate_bias, estimate_cells
from kdlight.information.broja_solver import broja
from kdlight.information.entropies import Array, entropy, mutual_information
from kdlight.information.estimated_pid import QUANTITIES, Estimate, EstimatedPID
from kdlight.information.histogram import joint_histogram
from kdlight.streams import Stream, derive_seed

Symbols = npt.NDArray[np.int64]

#: Quantities that depend on both sources jointly, such as the synergistic atom, are estimable (see `estimate_pid`) only
#: if there are enough samples for the joint histogram. The number of samples must be at least 15 times the number of
#: cells into which a sample can fall. The number of these cells is estimated, because some of them may still be empty.
#: The number of samples must also be at least 2 times the number of combinations of a symbol of the first source, one
#: of the second and one of the target; symbols that never occur do not count. The second requirement matters if there
#: are few samples, because then the estimated number of cells is too low.
SAMPLES_PER_CELL, SAMPLES_PER_COMBINATION = 15, 2
#: If none of N samples shows an event, its probability is at most 3 / N, with 95 % confidence.
RULE_OF_THREE = 3
#: For each symbolisation, the samples are brought into several random orders, each of which is cut into halves and into
#: quarters. There are about 10 orders for all symbolisations together, and at least 2 for each.
_ORDERS, _LEAST_ORDERS = 10, 2
#: Solver tolerance in bits for halves and quarters. The values of two halves usually differ by about 100 times as much.
_TOLERANCE_OF_PARTS = 1e-4


def estimate_pid(
    first: npt.ArrayLike, second: npt.ArrayLike, target: npt.ArrayLike, *, tolerance: float = 1e-5, seed: int = 0
) -> EstimatedPID:
    """Estimate the atoms of BROJA, and mutual informations, from samples of symbols.

    BROJA is the decomposition of Bertschinger et al., 2014 (arXiv:1311.2852), which `broja` computes.

    **Several symbolisations.** A symbolisation is one way of turning the features of the samples into symbols, such as
    a clustering; the result depends on it. If several are given, for example clusterings that were fitted on different
    images, a value is computed for each. The result is the mean of these values, and their spread widens the interval.

    **Bias.** A plug-in information is computed from observed frequencies as if they were the probabilities. On average
    it is too large, by an amount that is roughly proportional to 1/N for N samples. Each quantity A is therefore
    extrapolated to infinitely many samples as in Strong et al., 1998 (Phys. Rev. Lett. 80, 197):

        (8 A(N) - 6 A(N/2) + A(N/4)) / 3,

    where A(N) is the plug-in value of all samples, and A(N/2) and A(N/4) are its means over random halves and quarters.
    This expression is linear, so the corrected atoms add up to the corrected informations.

    **Intervals.** If the measurement is repeated with other samples and other symbolisations, the new value lies in the
    interval in 95 of 100 cases (ISO 5725 calls the half-width the reproducibility limit). So two measurements whose
    values are further apart than one half-width differ by more than chance. If little bias remains, the interval
    contains the true value in more than 95 of 100 cases, because its width allows for two values that vary by chance,
    and the true value does not vary.

    The variance of a value is the sum of two terms, one for the choice of the samples and one for the choice of the
    symbolisations. The first term is the mean of two estimates: the variance among the values of the halves, divided by
    2 (a delete-half jackknife), and the variance among the values of the quarters, divided by 4. The second term is the
    variance among the values of the symbolisations, divided by their number. The half-width is the square root of twice
    this sum, times the 97.5 % quantile of Student's t with the sum's degrees of freedom (Satterthwaite's formula). The
    half-width is at least 3 H(target) / N: an event that none of the N samples shows may still have a probability of up
    to 3 / N (the rule of three). So about 3 of N new samples may show this event, and each of these samples would
    change an information by about H(target) / N. Finally, a bound on the numerical error is added to the half-width.

    **Estimable.** A quantity is called estimable if there are enough samples for its interval to be right. The
    extrapolation does not remove all of the bias: if the bias of the plug-in value is too large, what remains is larger
    than the half-width. The bias of the information between two variables is about
    (cells - rows - columns + 1) / (2 N ln 2) bits (Miller and Madow). Here "cells" is the number of cells into which a
    sample can fall, in the table of counts of the two variables. This number is estimated from how many cells contain
    any sample, exactly one sample and exactly two samples (Chao, 1984). The numbers "rows" and "columns" are defined
    and estimated in the same way. I(first; target), I(second; target) and I(first; second) are estimable if their own
    bias is at most 0.45 bits. All other quantities, such as the atoms, are estimable only if I(first; target) and
    I(second; target) are. Three of them depend on both sources jointly: the synergistic atom, I(target; first, second)
    and I(target; first | second). These three also need enough samples for the joint histogram, as `SAMPLES_PER_CELL`
    and `SAMPLES_PER_COMBINATION` say.

    Args:
        first: Symbols of the first source, integers from 0, shape (samples,) or (symbolisations, samples).
        second: Symbols of the second source, of the same shape.
        target: Symbols of the target, shape (samples,).
        tolerance: The bound on the error of each decomposition, in bits, at which its solver stops (see `broja`). For
            halves and quarters, the bound is at least 1e-4.
        seed: Seed of the random halves and quarters. The same seed selects the same samples, even for other symbols.

    Raises:
        UserError: If there are fewer than 8 samples, the shapes do not fit together, a symbol is not an integer from 0,
            or the tolerance is not positive.
    """
    sources = [np.atleast_2d(np.asarray(symbols)) for symbols in (first, second)]
    labels = np.asarray(target)
    if len(sources[0]) != len(sources[1]):
        raise UserError(
            f"expected equally many symbolisations of both sources, got {len(sources[0])} of the first and "
            f"{len(sources[1])} of the second"
        )
    if labels.size < 8:
        raise UserError(f"expected at least 8 samples, got {labels.size}")
    parts = [
        _Symbolisation.from_symbols(joint_histogram(one, other, labels).shape, one, other, labels)
        for one, other in zip(*sources, strict=True)
    ]
    orders = max(_LEAST_ORDERS, -(-_ORDERS // len(parts)))
    drawn = [
        part.measure(np.random.default_rng(derive_seed(Stream.BOOTSTRAP, seed, place)), tolerance, orders)
        for place, part in enumerate(parts)
    ]
    estimable = _find_estimable(parts)
    error = float(np.mean([measured.numerical_error for measured in drawn]))
    target_entropy = entropy(np.bincount(labels) / labels.size)
    least = RULE_OF_THREE * target_entropy / labels.size
    estimates = {
        name: _combine([each.quantities[place] for each in drawn], orders, error, least, estimable=estimable[name])
        for place, name in enumerate(QUANTITIES)
    }
    caps = [np.mean([np.log2(len(np.unique(symbols))) for symbols in source]) for source in sources]
    return EstimatedPID(
        **estimates,
        target_entropy=target_entropy,
        cap_first=float(caps[0]),
        cap_second=float(caps[1]),
        gap=max(measured.gap for measured in drawn),
        samples=labels.size,
    )


class _ResampledQuantity(NamedTuple):
    """One quantity of one symbolisation: its plug-in value, its value corrected for bias, and its variance.

    The variance is due to the choice of the samples alone.
    """

    counted: float
    corrected: float
    variance: float


class _Symbolisation(NamedTuple):
    """One symbolisation of the samples: the cell of the joint histogram into which each sample falls."""

    shape: tuple[int, ...]
    cells: Symbols

    @classmethod
    def from_symbols(cls, shape: tuple[int, ...], *symbols: Symbols) -> "_Symbolisation":
        return cls(shape, np.ravel_multi_index(symbols, shape))

    def count_cells(self, chosen: Symbols | slice) -> npt.NDArray[np.int64]:
        return np.bincount(self.cells[chosen], minlength=int(np.prod(self.shape))).reshape(self.shape)

    def measure(self, rng: np.random.Generator, tolerance: float, orders: int) -> "_ResampledPID":
        size, coarse = len(self.cells), max(tolerance, _TOLERANCE_OF_PARTS)
        shuffled = [rng.permutation(size) for _ in range(orders)]

        def measure_parts(cut: int) -> Array:
            """Return the quantities of each order's halves or quarters as an array (orders, parts, quantities)."""
            starts = [place * (size // cut) for place in range(cut)]
            return np.array(
                [
                    [
                        _measure_quantities(self.count_cells(order[start : start + size // cut]), coarse)
                        for start in starts
                    ]
                    for order in shuffled
                ]
            )

        counted = _measure_quantities(self.count_cells(slice(None)), tolerance)
        halves, quarters = measure_parts(2), measure_parts(4)
        corrected = (8 * counted - 6 * halves.mean(axis=(0, 1)) + quarters.mean(axis=(0, 1))) / 3
        spreads = [parts.var(axis=1, ddof=1).mean(axis=0) / parts.shape[1] for parts in (halves, quarters)]
        variance = np.mean(spreads, axis=0)
        quantities = [
            _ResampledQuantity(*map(float, values)) for values in zip(counted, corrected, variance, strict=True)
        ]
        gaps = counted[-1], halves[..., -1].mean(), quarters[..., -1].mean()
        return _ResampledPID(quantities[:-1], float(gaps[0]), float(8 * gaps[0] + 6 * gaps[1] + gaps[2]) / 3)


class _ResampledPID(NamedTuple):
    """The quantities of one symbolisation, and bounds on their numerical errors."""

    quantities: list[_ResampledQuantity]
    gap: float
    """Certified bound on the error of the atoms that were computed from all samples, in bits."""
    numerical_error: float
    """Certified bound on the numerical error of the corrected values, in bits."""


def _find_estimable(parts: list[_Symbolisation]) -> dict[str, bool]:
    """Tell for each quantity whether it is estimable, as `estimate_pid` explains."""
    biases, needed = [], []
    for part in parts:
        table = part.count_cells(slice(None))
        biases.append([estimate_bias(table.sum(axis=axis)) for axis in (1, 0, 2)])
        combinations = np.prod([table.any(axis=axes).sum() for axes in ((1, 2), (0, 2), (0, 1))])
        needed.append(max(SAMPLES_PER_CELL * estimate_cells(table), SAMPLES_PER_COMBINATION * float(combinations)))
    first, second, between = np.mean(biases, axis=0) <= LARGEST_CORRECTED_BIAS
    together = len(parts[0].cells) >= np.mean(needed)
    known = dict.fromkeys(QUANTITIES, bool(first and second))
    known |= dict.fromkeys(
        ("synergistic", "information_both", "information_first_given_second"), bool(first and second and together)
    )
    own = {"information_first": first, "information_second": second, "information_between": between}
    return known | {name: bool(value) for name, value in own.items()}


def _measure_quantities(counts: npt.NDArray[np.int64], tolerance: float) -> Array:
    joint = counts / counts.sum()
    pid = broja(joint, tolerance=tolerance)
    between = mutual_information(joint.sum(axis=2))
    given_second = pid.unique_first + pid.synergistic
    informations = (pid.information_first, pid.information_second, pid.information, given_second, between)
    return np.array([*pid[:4], *informations, pid.gap], dtype=np.float64)


def _combine(drawn: list[_ResampledQuantity], orders: int, error: float, least: float, *, estimable: bool) -> Estimate:
    counted, corrected, variances = (np.array(values) for values in zip(*drawn, strict=True))
    repeated = len(drawn)
    sampling = float(variances.mean())
    between = float(corrected.var(ddof=1)) / repeated if repeated > 1 else 0.0
    half = 0.0
    if sampling + between > 0:
        parts = sampling**2 / (3 * orders * repeated) + (between**2 / (repeated - 1) if repeated > 1 else 0.0)
        freedom = (sampling + between) ** 2 / parts
        half = float(stdtrit(freedom, 0.975) * np.sqrt(2 * (sampling + between)))
    half = max(half, least) + error
    middle = float(corrected.mean())
    return Estimate(middle, middle - half, middle + half, float(counted.mean()), estimable)
