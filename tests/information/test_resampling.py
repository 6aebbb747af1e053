"""Bias correction and intervals."""

import numpy as np
import pytest

from kdlight.information.resampling import bootstrap
from tests.information.oracle import DISCRETE, joint_of

ATOMS = ("redundant", "unique_first", "unique_second", "synergistic")


def _sample(joint: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    return rng.multinomial(samples, joint.ravel()).reshape(joint.shape)


def test_intervals_cover_the_truth() -> None:
    case = next(case for case in DISCRETE if case["name"] == "lcg_exp_3x3x3_s2")
    truth = [case[key] for key in ("red", "unq_t", "unq_s", "syn")]
    rng = np.random.default_rng(0)
    covered, bias, plug_in_bias = np.zeros(4), np.zeros(4), np.zeros(4)
    repetitions = 40
    for _ in range(repetitions):
        result = bootstrap(_sample(joint_of(case), 2000, rng), resamples=20, subsamples=10)
        for index, (atom, value) in enumerate(zip(ATOMS, truth, strict=True)):
            interval = getattr(result, atom)
            covered[index] += (interval.lower <= value <= interval.upper) / repetitions
            bias[index] += (interval.estimate - value) / repetitions
            plug_in_bias[index] += (interval.plug_in - value) / repetitions
    assert (covered >= 0.85).all()
    assert np.abs(bias).max() < np.abs(plug_in_bias).max()


def test_independent_sources_have_only_biased_synergy() -> None:
    rng = np.random.default_rng(0)
    with pytest.warns(UserWarning, match=r"200 samples for 4 x 4 x 4 = 64 cells: fewer than 5"):
        result = bootstrap(_sample(np.full((4, 4, 4), 1 / 64), 200, rng), resamples=10, subsamples=10)
    assert result.synergy_mostly_bias
    assert result.synergistic.estimate < 0.5 * result.synergistic.plug_in


@pytest.mark.filterwarnings("error")
def test_real_synergy_is_not_called_bias() -> None:
    counts = np.zeros((2, 2, 2), dtype=int)
    counts[0, 0, 0] = counts[1, 1, 0] = counts[0, 1, 1] = counts[1, 0, 1] = 250
    result = bootstrap(counts, resamples=10, subsamples=5)
    assert not result.synergy_mostly_bias
    assert result.synergistic.estimate == pytest.approx(1, abs=0.01)
    assert result == bootstrap(counts, resamples=10, subsamples=5)


def test_informations_and_intervals_are_in_order() -> None:
    counts = _sample(np.full((2, 2, 2), 0.125), 500, np.random.default_rng(1))
    result = bootstrap(counts, resamples=5, subsamples=5)
    for part in ("estimate", "plug_in"):
        informations = [getattr(result.redundant, part) + getattr(unique, part) for unique in result[1:3]]
        assert min(informations) >= (0 if part == "plug_in" else -0.01)
    for interval in result[:4]:
        assert interval.lower <= interval.estimate <= interval.upper


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.full((2, 2, 2), 0.125), "expected integers"),
        (np.ones((2, 2), dtype=int), "3 axes"),
        (-np.ones((2, 2, 2), dtype=int), ">= 0"),
        (np.eye(2, dtype=int)[None], "at least 4 samples"),
    ],
)
def test_errors(counts: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap(counts)
