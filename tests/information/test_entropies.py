"""Entropy, mutual information, and histograms."""

import numpy as np
import pytest

from kdlight.information.entropies import entropy, mutual_information
from kdlight.information.histogram import joint_histogram


def test_entropy_of_known_distributions() -> None:
    assert entropy([0.5, 0.5]) == 1
    assert entropy(np.full((2, 2, 2), 0.125)) == 3
    assert entropy([1.0, 0.0]) == 0
    assert entropy([0.9, 0.1]) == pytest.approx(-0.9 * np.log2(0.9) - 0.1 * np.log2(0.1))


def test_mutual_information_of_known_channels() -> None:
    assert mutual_information(np.eye(4) / 4) == 2
    assert mutual_information(np.outer([0.3, 0.7], [0.2, 0.8])) == pytest.approx(0, abs=1e-15)
    noisy = np.array([[0.45, 0.05], [0.05, 0.45]])
    assert mutual_information(noisy) == pytest.approx(1 - entropy([0.9, 0.1]))
    rows, columns = noisy.sum(axis=1), noisy.sum(axis=0)
    assert mutual_information(noisy) == pytest.approx(entropy(rows) + entropy(columns) - entropy(noisy))


@pytest.mark.parametrize(
    ("p", "message"), [([0.5, 0.6], "sum to 1"), ([1.5, -0.5], "non-negative"), ([np.nan, 1], "NaN"), ([], "non-empty")]
)
def test_errors(p: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        entropy(p)
    with pytest.raises(ValueError, match="2 axes"):
        mutual_information(p)


def test_histogram_counts() -> None:
    counts = joint_histogram([0, 0, 1, 1], [2, 2, 0, 1], [0, 0, 0, 1])
    assert counts.shape == (2, 3, 2)
    assert counts[0, 2, 0] == 2
    assert counts[1, 0, 0] == counts[1, 1, 1] == 1
    assert counts.sum() == 4
    assert joint_histogram([0], [0], [0], sizes=(3, 4, 5)).shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("symbols", "sizes", "message"),
    [
        (([0.5], [0], [0]), None, "first: expected integers"),
        (([0], [[0]], [0]), None, "second: expected integers"),
        (([0, 1], [0], [0]), None, "2 of first, 1 of second"),
        (([0], [0], [-1]), None, "target: expected symbols from 0"),
        (([0], [3], [0]), (1, 2, 1), "second: expected symbols from 0 to 1"),
    ],
)
def test_histogram_errors(
    symbols: tuple[list[int], list[int], list[int]], sizes: tuple[int, int, int] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        joint_histogram(*symbols, sizes=sizes)
