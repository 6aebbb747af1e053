"""The classes' parts of the atoms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdlight.information.broja_solver import broja
from kdlight.information.by_class import broja_by_class


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(2, 4), st.integers(2, 4))
def test_parts_add_up(seed, first, second, target):
    joint = np.random.default_rng(seed).standard_exponential((first, second, target)) ** 3
    joint[0, :, 0] = 0
    joint /= joint.sum()
    parts, pid = broja_by_class(joint, tolerance=1e-7), broja(joint, tolerance=1e-7)
    for atom, whole in zip(parts, pid[:4], strict=True):
        assert atom.sum() == pytest.approx(whole, abs=3e-7)


def test_knowledge_that_is_missing_is_found_in_its_class():
    """The teacher knows three classes, the student confuses the last two."""
    joint = np.zeros((3, 2, 3))
    joint[0, 0, 0] = joint[1, 1, 1] = joint[2, 1, 2] = 1 / 3
    parts = broja_by_class(joint, tolerance=1e-8)
    np.testing.assert_allclose(parts.unique_first, [0, 1 / 3, 1 / 3], atol=1e-6)
    np.testing.assert_allclose(parts.redundant, [np.log2(3) / 3, np.log2(1.5) / 3, np.log2(1.5) / 3], atol=1e-6)


def test_optimal_joint_has_these_terms():
    """XOR of independent bits: the optimum has no synergy, and its terms can be written down."""
    joint = np.zeros((2, 2, 2))
    for first in (0, 1):
        for second in (0, 1):
            joint[first, second, first ^ second] = 0.25
    parts = broja_by_class(joint, tolerance=1e-8)
    np.testing.assert_allclose(parts.synergistic, [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(parts.redundant, [0, 0], atol=1e-6)


def test_a_class_that_never_occurs_has_no_part():
    joint = np.zeros((2, 2, 3))
    joint[0, 0, 0] = joint[1, 1, 2] = 0.5
    parts = broja_by_class(joint)
    np.testing.assert_allclose(parts.redundant, [0.5, 0, 0.5], atol=1e-4)
