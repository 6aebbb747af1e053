"""What RID's assumption leaves out, on constructed cases where it is 0 and where it is not."""

import numpy as np
import pytest

from kdlight.measuring.assumption import ProbeSamples, estimate_residual_information, measure_residual_gain


def case(says_more, samples=1500):
    """f_s(S) tells one bit of two; the residual tells the other one, or nothing."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 4, samples)
    told = target // 2
    residual = target % 2 if says_more else rng.integers(0, 2, samples)
    noise = rng.standard_normal((2, samples, 6))
    return (
        ProbeSamples(np.eye(2, 6)[residual] + 0.1 * noise[0], np.eye(2, 6)[told] + 0.1 * noise[1], target),
        residual,
        told,
    )


@pytest.mark.parametrize(("says_more", "expected"), [(True, 1.0), (False, 0.0)])
def test_symbols(says_more, expected):
    whole, residual, told = case(says_more)
    found = estimate_residual_information(residual[None], told[None], whole.target)
    assert found["assumption_information"] == pytest.approx(expected, abs=0.02)
    assert found["assumption_information_lower"] <= expected <= found["assumption_information_upper"] + 1e-9


@pytest.mark.parametrize(("says_more", "expected"), [(True, 1.0), (False, 0.0)])
def test_probes(says_more, expected):
    whole, *_ = case(says_more)
    fitted, counted = (ProbeSamples(*(part[cut] for part in whole)) for cut in (slice(500), slice(500, None)))
    found = measure_residual_gain(fitted, counted)
    assert found["assumption_probe"] == pytest.approx(expected, abs=0.1)
    assert found["assumption_probe_lower"] < found["assumption_probe_upper"]


def test_too_few_samples_say_nothing():
    rng = np.random.default_rng(0)
    symbols = rng.integers(0, 10, (2, 1, 60))
    assert estimate_residual_information(symbols[0], symbols[1], rng.integers(0, 10, 60)) == {}
