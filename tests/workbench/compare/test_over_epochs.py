"""Means over seeds at each epoch."""

import math

import pytest

from kdlight.workbench.compare.over_epochs import average_runs


def test_an_epoch_counts_if_half_of_the_runs_have_it():
    runs = [{1: 1.0, 2: 5.0, 3: 2.0}, {1: 3.0, 3: 4.0}, {1: 5.0, 4: 9.0}, {}]
    averaged = average_runs(runs)
    assert list(averaged) == [1, 3], "the run without any value does not count"
    assert averaged[1] == pytest.approx((3.0, 2.0, 3))
    assert averaged[3] == pytest.approx((3.0, math.sqrt(2), 2))
    assert average_runs([{}, {}]) == {}
