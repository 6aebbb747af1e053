"""Bias correction and intervals."""

import time

import numpy as np
import pytest

from kdlight.information import estimates
from kdlight.information.estimated_pid import QUANTITIES, EstimatedPID
from kdlight.information.estimates import estimate_pid
from kdlight.information.histogram import expand_histogram, joint_histogram
from tests.information.oracle import DISCRETE, joint_of

ATOMS = {"redundant": "red", "unique_first": "unq_t", "unique_second": "unq_s", "synergistic": "syn"}


def samples_of(joint, size, rng):
    return np.unravel_index(rng.choice(joint.size, size=size, p=joint.ravel()), joint.shape)


def test_intervals_hold_the_truth_and_the_value_of_other_samples():
    case = next(case for case in DISCRETE if case["name"] == "lcg_exp_3x3x3_s2")
    rng = np.random.default_rng(0)
    found = [estimate_pid(*samples_of(joint_of(case), 2000, rng)) for _ in range(20)]
    kept = {}
    for name, key in ATOMS.items():
        estimates = [getattr(pid, name) for pid in found]
        values = np.array([estimate.value for estimate in estimates])
        counted = np.array([estimate.counted for estimate in estimates])
        assert np.mean([each.lower <= case[key] <= each.upper for each in estimates]) >= 0.8
        kept[name] = np.mean([(each.lower <= values) & (values <= each.upper) for each in estimates])
        assert abs(values.mean() - case[key]) < max(abs(counted.mean() - case[key]), 0.004)
    assert 0.88 <= np.mean(list(kept.values())) <= 0.99


def test_corrected_atoms_add_up_to_corrected_informations():
    rng = np.random.default_rng(1)
    pid = estimate_pid(*samples_of(np.full((3, 4, 5), 1 / 60), 700, rng))
    for part in ("value", "counted"):
        of = {name: getattr(estimate, part) for name, estimate in pid.estimates.items()}
        assert of["redundant"] + of["unique_first"] == pytest.approx(of["information_first"], abs=1e-9)
        assert of["redundant"] + of["unique_second"] == pytest.approx(of["information_second"], abs=1e-9)
        atoms = sum(of[name] for name in ATOMS)
        assert atoms == pytest.approx(of["information_both"], abs=1e-9)
        assert of["information_first_given_second"] == pytest.approx(
            of["information_both"] - of["information_second"], abs=1e-9
        )


def test_the_first_source_is_the_same_whatever_the_second_is():
    """The parts of the samples that a value is extrapolated from do not depend on the symbols."""
    rng = np.random.default_rng(2)
    first, second, target = samples_of(joint_of(DISCRETE[-1]), 400, rng)
    one, other = estimate_pid(first, second, target), estimate_pid(first, rng.permutation(second), target)
    assert one.information_first.value == pytest.approx(other.information_first.value, abs=1e-9)


def test_what_symbolisations_disagree_about_is_in_the_interval():
    rng = np.random.default_rng(3)
    target = rng.integers(0, 2, 4000)
    good, bad = target ^ (rng.random(4000) < 0.02), target ^ (rng.random(4000) < 0.3)
    alike = estimate_pid(np.stack([good] * 4), np.stack([good] * 4), target)
    other = estimate_pid(np.stack([good, bad] * 2), np.stack([good, bad] * 2), target)
    assert other.redundant.upper - other.redundant.value > 5 * (alike.redundant.upper - alike.redundant.value)
    assert other.redundant.upper > alike.redundant.value


def test_xor_is_synergy_and_estimable():
    first, second = np.random.default_rng(4).integers(0, 2, (2, 1000))
    pid = estimate_pid(first, second, first ^ second)
    assert pid.synergistic.estimable
    assert pid.synergistic.value == pytest.approx(1, abs=0.01)
    assert pid.information_between.value == pytest.approx(0, abs=0.01)


def test_synergy_of_more_cells_than_samples_is_not_estimable():
    rng = np.random.default_rng(5)
    pid = estimate_pid(*samples_of(np.full((10, 10, 10), 1e-3), 300, rng))
    assert not pid.synergistic.estimable
    assert not pid.information_both.estimable
    assert "synergistic" not in pid.to_dict()


def test_a_thousand_samples_of_a_hundred_classes_take_no_longer_than_a_second():
    """The halves and quarters of so few samples are tables with hardly a cell filled, the hardest to decompose."""
    rng = np.random.default_rng(5)
    target = rng.integers(0, 100, 1000)
    sources = (np.where(rng.random(1000) < 0.9, target % 10, rng.integers(0, 10, 1000)) for _ in range(2))
    start = time.process_time()
    assert not estimate_pid(*sources, target).synergistic.estimable
    assert time.process_time() - start < 1


def test_caps_and_entropy():
    rng = np.random.default_rng(6)
    target = rng.integers(0, 8, 2000)
    pid = estimate_pid(target // 2, target, target)
    assert (pid.cap_first, pid.cap_second) == (2, 3)
    assert pid.target_entropy == pytest.approx(3, abs=0.01)
    assert pid.information_first.value == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(("symbols", "samples", "estimable"), [(3, 2000, True), (10, 300, False)])
def test_a_report_is_read_as_it_was_written(symbols, samples, estimable):
    names = ("teacher", "student", "label")
    uniform = np.full((symbols,) * 3, 1 / symbols**3)
    pid = estimate_pid(*samples_of(uniform, samples, np.random.default_rng(7)))
    written = pid.to_dict(names)
    always = {"redundant", "unique_teacher_lower", "information_student_counted", "label_entropy", "cap_teacher"}
    too_uncertain = {"synergistic", "information_teacher_given_student"}
    assert always <= set(written)
    assert too_uncertain & set(written) == (too_uncertain if estimable else set())
    read = EstimatedPID.from_dict(written, names)
    assert read.to_dict(names) == written
    assert read.redundant == pid.redundant
    assert read.synergistic.estimable == estimable


def test_an_estimate_is_deterministic():
    symbols = np.random.default_rng(9).integers(0, 4, (3, 100))
    assert estimate_pid(*symbols) == estimate_pid(*symbols)


def test_histograms_are_samples():
    rng = np.random.default_rng(8)
    counts = rng.integers(0, 5, (3, 2, 4))
    np.testing.assert_array_equal(joint_histogram(*expand_histogram(counts), sizes=counts.shape), counts)


@pytest.fixture
def quantity(monkeypatch):
    """A function that puts a functional of the frequencies in the place of every estimated quantity."""

    def replace(functional, orders=400):
        monkeypatch.setattr(
            estimates, "_measure_quantities", lambda c, _: np.array([functional(c / c.sum())] * len(QUANTITIES) + [0.0])
        )
        monkeypatch.setattr(estimates, "_ORDERS", orders)

    return replace


def test_the_correction_takes_off_the_second_order_of_the_bias(quantity):
    # Over draws of n of these 16 samples without replacement the mean of sum p^3 is 3 U/n + (1 - 3 U)/n^2, where U is
    # the probability that two of the samples are alike: without bias it is 0, and its second order at n = 16 is 0.003.
    quantity(lambda p: (p**3).sum(), orders=2000)
    found = estimate_pid(*expand_histogram(np.full((2, 2, 2), 2))).redundant
    assert found.counted == pytest.approx(1 / 64)
    assert found.value == pytest.approx(0, abs=0.001)


def test_an_interval_has_the_sampling_error_of_two_measurements_with_all_samples(quantity):
    # A frequency p of n samples has the variance p (1 - p) / n, and the difference of two such has twice as much.
    quantity(lambda p: p[0, 0, 0])
    found = estimate_pid(*expand_histogram(np.array([30, 70, 40, 60, 50, 50, 20, 80]).reshape(2, 2, 2))).redundant
    half = 1.96 * np.sqrt(2 * 0.075 * 0.925 / 400)
    assert found.value == pytest.approx(0.075, abs=0.01 * half)
    assert [found.value - found.lower, found.upper - found.value] == pytest.approx([half, half], rel=0.06)


def test_an_interval_contains_the_numerical_error_and_what_three_samples_may_change(monkeypatch):
    # Every value is 0 to within 0.01 bits: 0.08 from all samples, 0.06 from halves, 0.01 from quarters, divided by 3.
    # No part of the samples differs from another, so the rule of three alone widens the interval: 3 H(Y) / 16 bits.
    values = np.array([0.0] * len(QUANTITIES) + [0.01])
    monkeypatch.setattr(estimates, "_measure_quantities", lambda c, _: values)
    found = estimate_pid(*expand_histogram(np.full((2, 2, 2), 2)))
    assert [found.redundant.lower, found.redundant.upper] == pytest.approx([-0.05 - 3 / 16, 0.05 + 3 / 16])
    assert found.gap == 0.01


def test_synergy_takes_fifteen_samples_a_cell(quantity):
    quantity(lambda p: 0.0, orders=1)
    counts = np.full((2, 2, 2), 15)
    assert estimate_pid(*expand_histogram(counts)).synergistic.estimable
    counts[0, 0, 0] = 14
    fewer = estimate_pid(*expand_histogram(counts))
    assert not fewer.synergistic.estimable
    assert fewer.redundant.estimable


@pytest.mark.parametrize(("symbols", "estimable"), [(4, True), (5, False)])
def test_a_bias_of_nearly_half_a_bit_is_the_limit(symbols, estimable, quantity):
    # One sample a cell: the bias is (symbols - 1)^2 / (2 symbols^2 ln 2), which is 0.41 and 0.46 bits.
    quantity(lambda p: 0.0, orders=1)
    first, target = expand_histogram(np.ones((symbols, 1, symbols), int))[::2]
    found = estimate_pid(first, np.zeros_like(first), target)
    assert found.information_first.estimable == found.redundant.estimable == estimable


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1, 0], [0, 1, 0], [0, 1, 0]), "at least 8 samples, got 3"),
        (([[0] * 9] * 2, [0] * 9, [0] * 9), "2 of the first and 1 of the second"),
        (([0.5] * 9, [0] * 9, [0] * 9), "expected integers"),
        (([0] * 8, [0] * 9, [0] * 9), "same number of symbols"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        estimate_pid(*map(np.array, arguments))
