"""Decompose the information of two arrays about a third: ``kdlight pid --first … --second … --target …``.

The partial information decomposition (PID) has four atoms: redundant information (both arrays have it), unique
information of either array, and synergistic information (only both arrays together have it). The PID is computed from
the frequencies of symbols. One-dimensional arrays of integers are symbols. All other arrays are features, which a
`Discretizer` turns into symbols.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kdlight.errors import UserError
from kdlight.information.discretizer import Discretizer, Symbols
from kdlight.information.estimated_pid import EstimatedPID
from kdlight.information.estimates import estimate_pid
from kdlight.information.histogram import joint_histogram
from kdlight.measuring.other_redundancies import average, compute_other_redundancies
from kdlight.streams import Stream, derive_seed

__all__ = ["ArrayReport", "compare_arrays"]

MOST_CELLS = 1_000_000  # the joint distribution of the arrays that are given as symbols may have this many cells


@dataclass(frozen=True)
class ArrayReport:
    """A decomposition and, for comparison, redundancies by other definitions, see `compute_other_redundancies`."""

    pid: EstimatedPID
    others: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return all values, for a JSON file."""
        return {"samples": self.pid.samples, "atoms": {**self.pid.to_dict(), **self.others}}


def compare_arrays(
    first: npt.NDArray[Any], second: npt.NDArray[Any], target: npt.NDArray[Any], settings: Any
) -> ArrayReport:
    """Decompose the information that two arrays contain about a third one.

    Args:
        first: Symbols (samples,), integers from 0, or features (samples, …).
        second: Symbols or features; ``first`` may contain symbols and ``second`` features, or the reverse.
        target: Classes (samples,), integers from 0.
        settings: The command's options ``symbols``, ``clusters``, ``components``, ``repeats``, ``seed`` and
            ``tolerance``.

    Raises:
        UserError: If the arrays differ in length, are not as described above, or have too few samples or too many
            symbols; or if a setting is wrong.
    """
    if len({len(values) for values in (first, second, target)}) > 1 or target.ndim != 1:
        shapes = ", ".join(str(values.shape) for values in (first, second, target))
        raise UserError(f"expected first, second and a one-dimensional target of equal length, got shapes {shapes}")
    if settings.seed < 0:
        raise UserError(f"--seed: expected a whole number of at least 0, got {settings.seed}")
    # An array (samples,) of floats holds one feature per sample.
    sources = [
        values[:, None] if values.ndim == 1 and not _are_symbols(values) else values for values in (first, second)
    ]
    _require_cells(*(values for values in (*sources, target) if _are_symbols(values)))
    clustered = [not _are_symbols(values) for values in sources]
    if any(clustered):
        if len(target) < 16:
            raise UserError(f"expected at least 16 samples (clusters are fitted on half of them), got {len(target)}")
        order = np.random.default_rng(derive_seed(Stream.FITTED_HALF, settings.seed)).permutation(len(target))
        fitted, counted = order[: len(order) // 2], order[len(order) // 2 :]
        for place, values in enumerate(sources):
            if clustered[place]:
                sources[place] = _discretize(values, target, fitted, counted, settings)
            else:
                sources[place] = np.stack([values[counted]] * settings.repeats)
        target = target[counted]
    pid = estimate_pid(sources[0], sources[1], target, tolerance=settings.tolerance, seed=settings.seed)
    joints = [
        counts / counts.sum()
        for one, other in zip(*(np.atleast_2d(source) for source in sources), strict=True)
        for counts in [joint_histogram(one, other, target)]
    ]
    return ArrayReport(pid, average([compute_other_redundancies(joint) for joint in joints]))


def _require_cells(*symbols: Symbols) -> None:
    """Refuse a joint distribution that is too large to be decomposed.

    Raises:
        UserError: If the distribution has more than `MOST_CELLS` cells.
    """
    states = [max(1, int(values.max(initial=0)) + 1) for values in symbols]
    cells = math.prod(states)
    if cells > MOST_CELLS:
        shape = " x ".join(map(str, states))
        raise UserError(
            f"expected at most {MOST_CELLS:,} cells in the joint distribution of the symbols, got {shape} = {cells:,}: "
            "decomposing more takes very long, or does not fit into memory; number the symbols from 0 without gaps, or "
            "merge some"
        )


def _discretize(values: npt.NDArray[Any], target: Symbols, fitted: Symbols, counted: Symbols, settings: Any) -> Symbols:
    """Split some samples into parts, fit a discretizer on each part, and return the symbols of the other samples.

    Args:
        values: Features (samples, …).
        target: Classes, (samples,).
        fitted: Indices of the samples on which discretizers are fitted.
        counted: Indices of the samples whose symbols are returned.
        settings: The command's options ``symbols``, ``clusters``, ``components``, ``repeats`` and ``seed``.

    Returns:
        The symbols, (repeats, number of counted samples).
    """
    clusters = settings.clusters or min(2 * len(np.unique(target)), 20)
    parts = np.array_split(fitted, settings.repeats)
    discretizers = [
        Discretizer(
            settings.symbols,
            clusters=clusters,
            components=settings.components,
            seed=settings.repeats * settings.seed + place,
        ).fit(values[part], target[part])
        for place, part in enumerate(parts)
    ]
    return np.stack([discretizer.transform(values[counted]) for discretizer in discretizers])


def _are_symbols(values: npt.NDArray[Any]) -> bool:
    return values.ndim == 1 and bool(np.issubdtype(values.dtype, np.integer))
