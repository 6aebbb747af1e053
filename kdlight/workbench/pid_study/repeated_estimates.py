"""Repeatedly sample a joint distribution whose PID is known, and estimate the PID from each sample.

The PID (partial information decomposition) splits what two sources tell about a target into four atoms, in bits:
redundant (Red), unique to the first source (Uni 1), unique to the second source (Uni 2), and synergistic (Syn).
"""

from typing import NamedTuple

import numpy as np

from kdlight.information.broja_solver import broja
from kdlight.information.entropies import Array
from kdlight.information.estimated_pid import Estimate
from kdlight.information.estimates import estimate_pid

__all__ = ["ATOMS", "RepeatedEstimate", "repeat_estimate"]

#: The names of the atoms in tables, by attribute of `EstimatedPID`.
ATOMS = {"redundant": "Red", "unique_first": "Uni 1", "unique_second": "Uni 2", "synergistic": "Syn"}


class RepeatedEstimate(NamedTuple):
    """The true value of one quantity, and its estimates from repeated samples."""

    truth: float
    estimates: list[Estimate]

    @property
    def values(self) -> Array:
        """The estimates after correction for bias, (repetitions,)."""
        return np.array([estimate.value for estimate in self.estimates])

    @property
    def counted(self) -> Array:
        """The estimates without correction for bias, computed from the frequencies in each sample, (repetitions,)."""
        return np.array([estimate.counted for estimate in self.estimates])

    @property
    def half_width(self) -> float:
        """Mean half-width of the intervals, in bits."""
        return float(np.mean([estimate.upper - estimate.value for estimate in self.estimates]))

    @property
    def estimable(self) -> float:
        """Fraction of the estimates with enough samples for a reliable interval, see `Estimate.estimable`."""
        return float(np.mean([estimate.estimable for estimate in self.estimates]))

    @property
    def coverage(self) -> float:
        """Fraction of the intervals that contain the true value."""
        return float(np.mean([estimate.lower <= self.truth <= estimate.upper for estimate in self.estimates]))

    @property
    def kept(self) -> float:
        """Fraction of all pairs of estimates in which the interval of the first contains the value of the second."""
        inside = [[estimate.lower <= value <= estimate.upper for value in self.values] for estimate in self.estimates]
        times = len(self.estimates)
        return (float(np.sum(inside)) - times) / (times * (times - 1))

    def format_cells(self) -> list[str]:
        """Return the cells of a row in a table whose columns are `HEADINGS`."""
        bias = (self.counted.mean() - self.truth, self.values.mean() - self.truth)
        return [
            f"{self.truth:.3f}",
            *(f"{value:+.3f}" for value in bias),
            f"{self.values.std(ddof=1):.3f}",
            f"{self.half_width:.3f}",
            f"{self.coverage:.2f}",
            f"{self.kept:.2f}",
            f"{self.estimable:.0%}",
        ]


HEADINGS = ("truth", "bias counted", "bias", "sd", "half-width", "coverage", "kept", "estimable")


def repeat_estimate(joint: Array, samples: int, repetitions: int) -> dict[str, RepeatedEstimate]:
    """Draw samples from a joint distribution and estimate the atoms from each sample.

    Args:
        joint: Probabilities, axes (first source, second source, target).
        samples: How many triples (first source, second source, target) are drawn for each estimate.
        repetitions: How many estimates are made.
    """
    rng = np.random.default_rng(samples)
    truth = broja(joint, tolerance=1e-8)
    found = []
    for repetition in range(repetitions):
        cells = rng.choice(joint.size, size=samples, p=joint.ravel())
        first, second, target = np.unravel_index(cells, joint.shape)
        found.append(estimate_pid(first, second, target, seed=repetition))
    return {name: RepeatedEstimate(getattr(truth, name), [getattr(pid, name) for pid in found]) for name in ATOMS}
