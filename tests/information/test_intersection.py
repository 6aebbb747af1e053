"""Intersection information, and the theorems of the RID paper (arXiv 2411.07483)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdlight.information.broja_solver import broja
from kdlight.information.entropies import entropy, mutual_information
from kdlight.information.intersection import intersection_information
from tests.information.oracle import named

SEEDS = st.integers(0, 100_000)


def random_joint(seed, *shape):
    joint = np.random.default_rng(seed).standard_exponential(shape) ** 3
    return joint / joint.sum()


def test_gates():
    """The value of AND is that of Griffith and Ho's paper, far below BROJA's 0.3113."""
    assert intersection_information(named("AND")) == pytest.approx(0.1226, abs=5e-4)
    copy = np.zeros((2, 2, 2))
    copy[0, 0, 0] = copy[1, 1, 1] = 0.5
    assert intersection_information(copy) == pytest.approx(1, abs=1e-6)
    assert intersection_information(named("XOR")) == pytest.approx(0, abs=1e-6)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(SEEDS)
def test_theorem_4_1_it_is_at_most_the_redundant_information(seed):
    joint = random_joint(seed, 3, 2, 2)
    joint[0, 1] = joint[2, 0] = 0  # shared symbols, else there is little to intersect
    joint /= joint.sum()
    pid = broja(joint, tolerance=1e-7)
    assert intersection_information(joint, starts=2) <= pid.redundant + pid.gap + 1e-6


def teacher_with_nuisance(signal, nuisance):
    """P(t, y) of T = (Z, G) with G independent of Z and Y; and which Z and G each t is."""
    joint = (signal[:, None] * nuisance[:, None]).reshape(-1, signal.shape[1])
    places = np.arange(len(joint))
    return joint, places // len(nuisance), places % len(nuisance)


def beside(joint, student):
    """P(t, s, y) of a student that is a function of the teacher."""
    table = np.zeros((len(joint), int(student.max()) + 1, joint.shape[1]))
    table[np.arange(len(joint)), student] = joint
    return table


@settings(max_examples=15, deadline=None, derandomize=True)
@given(SEEDS, st.integers(2, 4), st.integers(2, 4))
def test_theorem_3_1_mutual_information_follows_the_nuisance_and_redundancy_does_not(seed, signals, nuisances):
    """Of T = (Z, G), I(T;S) is largest for the one of S = Z, S = G with the larger entropy, Red always for Z."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_exponential((signals, 2)) ** 2
    signal /= signal.sum()
    nuisance = rng.dirichlet(np.ones(nuisances))
    joint, of_signal, of_nuisance = teacher_with_nuisance(signal, nuisance)
    keeps_signal, keeps_nuisance = beside(joint, of_signal), beside(joint, of_nuisance)
    shared = [mutual_information(table.sum(axis=2)) for table in (keeps_signal, keeps_nuisance)]
    assert shared == pytest.approx([entropy(signal.sum(axis=1)), entropy(nuisance)], abs=1e-9)  # (i)
    redundant = [broja(table, tolerance=1e-7).redundant for table in (keeps_signal, keeps_nuisance)]
    assert redundant == pytest.approx([mutual_information(signal), 0], abs=1e-6)  # (ii)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SEEDS)
def test_theorem_3_2_ii(seed):
    """A teacher with nothing unique tells no more than the student."""
    # The student knows a noisier version of the teacher and more: S = (h(T), extra).
    rng = np.random.default_rng(seed)
    joint, of_signal, _ = teacher_with_nuisance(random_joint(seed, 3, 2), rng.dirichlet(np.ones(2)))
    merged = beside(joint, of_signal).swapaxes(0, 1)  # first: a function of the second
    found = broja(merged, tolerance=1e-7)
    assert found.unique_first == pytest.approx(0, abs=1e-6)
    assert max(found.information_first, found.information_second) == pytest.approx(found.information_second, abs=1e-6)
