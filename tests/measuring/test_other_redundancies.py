"""Redundancies other than BROJA's: values that are known by hand, their order, and what is left out."""

import numpy as np
import pytest

from kdlight.information.broja_solver import broja
from kdlight.information.gaussian import gaussian_pid_of_symbols
from kdlight.measuring.other_redundancies import LABELS, average, compute_other_redundancies


def draw(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(18, 0.5)).reshape(3, 3, 2)


def test_two_copies_of_the_label_are_redundant_by_every_measure_that_is_finite() -> None:
    joint = np.zeros((2, 2, 2))
    joint[0, 0, 0] = joint[1, 1, 1] = 0.5
    found = compute_other_redundancies(joint)
    assert found == pytest.approx({"redundant_i_min": 1, "redundant_mmi": 1, "redundant_intersection": 1})
    assert set(found) < set(LABELS), "as Gaussian variables copies have infinite information"


@pytest.mark.parametrize("seed", range(8))
def test_intersection_is_below_broja_and_broja_below_mmi(seed: int) -> None:
    joint = draw(seed)
    found, atoms = compute_other_redundancies(joint), broja(joint, tolerance=1e-7)
    assert found["redundant_intersection"] <= atoms.redundant + 1e-6
    assert atoms.redundant <= found["redundant_mmi"] + 1e-6


def test_the_gaussian_one_of_two_binary_variables_is_that_of_their_correlation() -> None:
    # Y is a fair bit, T and S are Y through independent channels: the squared correlations are .64 and .36.
    joint = np.zeros((2, 2, 2))
    for y in (0, 1):
        for t in (0, 1):
            for s in (0, 1):
                joint[t, s, y] = 0.5 * (0.9 if t == y else 0.1) * (0.8 if s == y else 0.2)
    found = gaussian_pid_of_symbols(joint)
    assert found is not None
    assert found.information_first == pytest.approx(-0.5 * np.log2(1 - 0.64))
    assert found.redundant == pytest.approx(-0.5 * np.log2(1 - 0.36))


def test_large_tables_have_no_intersection_information() -> None:
    joint = np.full((5, 5, 5), 1 / 125)
    assert "redundant_intersection" not in compute_other_redundancies(joint)


def test_means_are_of_what_every_symbolisation_has() -> None:
    assert average([{"a": 1.0, "b": 1.0}, {"a": 2.0}]) == {"a": 1.5}
