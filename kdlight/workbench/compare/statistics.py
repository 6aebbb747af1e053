"""Average a measure over a group's runs, and compare two groups by pairs of runs that have the same seed."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
POWER = 0.8
EQUAL = 1e-12  # relative difference up to which numbers count as equal


class Summary(NamedTuple):
    """A measure over the runs of a group.

    Attributes:
        mean: The mean; NaN if no run has the measure.
        deviation: The standard deviation over runs, with the denominator n - 1; NaN for fewer than two runs.
        n: Number of runs that have the measure.
    """

    mean: float
    deviation: float
    n: int


class Difference(NamedTuple):
    """How much a group's measure lies above the baseline's.

    A pair is a run of the group and the baseline's run with the same seed. Each pair gives one difference.

    Attributes:
        mean: The mean difference; NaN if there is no pair.
        lower: Lower end of the 95 % interval of the mean, by Student's t. NaN for fewer than two pairs, or if all pairs
            have the same difference other than 0, because such pairs do not tell how much differences vary.
        upper: Upper end of the interval.
        n: Number of pairs.
        detectable: About the smallest true difference that a test at the 5 % level would detect with a power of 80 %,
            given the number of pairs and the spread of their differences; NaN where the interval is NaN.
    """

    mean: float
    lower: float
    upper: float
    n: int
    detectable: float

    @property
    def resolved(self) -> bool:
        """Whether the interval does not contain 0."""
        return self.lower > 0 or self.upper < 0


def summarise(values: Sequence[float]) -> Summary:
    """Compute mean and standard deviation of the values that are not NaN."""
    there = np.array([value for value in values if not math.isnan(value)])
    if not len(there):
        return Summary(math.nan, math.nan, 0)
    return Summary(float(there.mean()), float(there.std(ddof=1)) if len(there) > 1 else math.nan, len(there))


def compute_difference(of_group: Mapping[int, float], of_baseline: Mapping[int, float]) -> Difference:
    """Compute by how much a group's measure lies above the baseline's; see `Difference`.

    Args:
        of_group: The group's measure by seed.
        of_baseline: The baseline's measure by seed.
    """
    seeds = sorted(of_group.keys() & of_baseline.keys())
    each = np.array([of_group[seed] - of_baseline[seed] for seed in seeds])
    each = each[~np.isnan(each)]
    n = len(each)
    if n == 0:
        return Difference(math.nan, math.nan, math.nan, 0, math.nan)
    mean = float(each.mean())
    if n == 1 or (mean != 0 and np.ptp(each) <= EQUAL * abs(mean)):
        return Difference(mean, math.nan, math.nan, n, math.nan)
    error = float(each.std(ddof=1)) / math.sqrt(n)
    quantile = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1))
    detectable = (quantile + float(stats.t.ppf(POWER, n - 1))) * error
    return Difference(mean, mean - quantile * error, mean + quantile * error, n, detectable)
