"""Repeated samples of a joint of known decomposition, and what is estimated from each."""

import warnings
from typing import NamedTuple

import numpy as np

from kdlight.information.broja_solver import broja
from kdlight.information.entropies import Array
from kdlight.information.resampling import bootstrap

ATOMS = ("Red", "Uni 1", "Uni 2", "Syn")


class Estimates(NamedTuple):
    """What was estimated from repeated samples of one joint; arrays have shape (repetitions, 4 atoms)."""

    truth: Array
    plug_in: Array
    corrected: Array
    half_width: Array
    flagged: float
    """How often the synergy was called mostly bias."""

    def bias(self, estimate: Array) -> Array:
        """Mean error of each atom, in bits."""
        return np.asarray(estimate.mean(axis=0) - self.truth)

    def coverage(self, estimate: Array) -> Array:
        """How often the truth is within the interval's half width of the estimate."""
        return np.asarray((np.abs(estimate - self.truth) <= self.half_width).mean(axis=0))


def estimated(joint: Array, samples: int, repetitions: int) -> Estimates:
    """Draw samples of a joint, axes (first source, second source, target), and decompose each with its intervals."""
    rng = np.random.default_rng(samples)
    truth = np.array(broja(joint, tolerance=1e-9)[:4])
    plug_in, corrected, half_width = (np.empty((repetitions, 4)) for _ in range(3))
    flagged = 0
    for repetition in range(repetitions):
        counts = rng.multinomial(samples, joint.ravel()).reshape(joint.shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # too few samples a cell: that is what is studied
            result = bootstrap(counts, seed=repetition)
        plug_in[repetition] = [atom.plug_in for atom in result[:4]]
        corrected[repetition] = [atom.estimate for atom in result[:4]]
        half_width[repetition] = [atom.upper - atom.estimate for atom in result[:4]]
        flagged += result.synergy_mostly_bias
    return Estimates(truth, plug_in, corrected, half_width, flagged / repetitions)
