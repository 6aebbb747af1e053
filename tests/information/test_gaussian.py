"""The Gaussian closed form."""

from typing import Any

import numpy as np
import pytest

from kdlight.information.gaussian import gaussian_pid
from tests.information.oracle import GAUSSIAN


def _permuted(case: dict[str, Any]) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The file orders target, first, second."""
    order = np.roll(np.arange(len(case["cov"])), -case["dy"])
    return np.array(case["cov"])[np.ix_(order, order)], (case["dt"], case["ds"], case["dy"])


@pytest.mark.parametrize("case", GAUSSIAN, ids=lambda case: case["name"])
def test_oracle(case: dict[str, Any]) -> None:
    covariance, sizes = _permuted(case)
    result = gaussian_pid(covariance, sizes)
    assert result[:4] == pytest.approx((case["red"], case["unq_t"], case["unq_s"], case["syn"]), abs=1e-8)
    assert result.information == pytest.approx(case["i_ts"], abs=1e-9)
    if case["dy"] == 1:
        assert result.redundant == pytest.approx(case["mmi_red"], abs=1e-9)


def test_invariant_to_linear_maps_and_units() -> None:
    covariance, sizes = _permuted(next(case for case in GAUSSIAN if case["name"] == "GAUSS_rand_3_2_4"))
    rng = np.random.default_rng(0)
    mixing = np.zeros_like(covariance)
    start = 0
    for size, unit in zip(sizes, (1e-4, 1.0, 1e3), strict=True):
        mixing[start : start + size, start : start + size] = unit * rng.normal(size=(size, size))
        start += size
    mixed = gaussian_pid(mixing @ covariance @ mixing.T, sizes)
    assert mixed[:4] == pytest.approx(gaussian_pid(covariance, sizes)[:4], abs=1e-8)


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (np.eye(4), "square matrix"),
        (np.ones((3, 3)), "positive definite"),
        (np.diag([1.0, 1.0, 0.0]), "positive definite"),
        (np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), "symmetric"),
        (np.full((3, 3), np.nan), "finite"),
    ],
)
def test_errors(covariance: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gaussian_pid(covariance, (1, 1, 1))
