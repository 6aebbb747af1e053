"""BROJA: oracles, properties, and what it does with odd input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from kdlight.information.bracket import Bracket
from kdlight.information.broja_solver import broja
from kdlight.information.decomposition import PID
from kdlight.information.entropies import entropy, mutual_information
from kdlight.information.interior_point import run_interior_point
from kdlight.information.mirror_descent import run_mirror_descent
from tests.information.oracle import DISCRETE, joint_of, named, random_joint

Array = NDArray[np.float64]


def _difference(one: PID, other: PID) -> float:
    return float(np.abs(np.array(one[:4]) - np.array(other[:4])).max())


@pytest.mark.parametrize("case", DISCRETE, ids=lambda case: case["name"])
def test_oracle(case: dict[str, Any]) -> None:
    joint = joint_of(case)
    tolerance = 1e-4 if joint.size == 10**6 else 1e-6
    result = broja(joint, tolerance=tolerance)
    assert result.gap <= tolerance + 2e-12
    expected = PID(case["red"], case["unq_t"], case["unq_s"], case["syn"], 0.0)
    assert _difference(result, expected) <= case["tolerance"] + result.gap


@pytest.mark.parametrize("name", ["lcg_exp_3x3x3_s1", "CROSSED_BSC_4x4x4", "lcg_counts_10x10x10_s4", "AND"])
def test_reaches_tight_tolerances(name: str) -> None:
    case = next(case for case in DISCRETE if case["name"] == name)
    result = broja(joint_of(case), tolerance=1e-9)
    assert result.gap <= 1e-9 + 2e-12
    assert abs(result.redundant - case["red"]) <= 1e-9 + case["tolerance"]


@pytest.mark.parametrize(
    ("name", "atoms"),
    [
        ("AND", (0.75 * np.log2(4 / 3) + 0.25 * 2 - 0.5, 0, 0, 0.5)),
        ("XOR", (0, 0, 0, 1)),
        ("UNQ_T", (0, 1, 0, 0)),
        ("UNQ_S", (0, 0, 1, 0)),
        ("RDN", (1, 0, 0, 0)),
        ("COPY", (0, 1, 1, 0)),
        ("SUM", (0.5, 0, 0, 1)),
    ],
)
def test_gates(name: str, atoms: tuple[float, ...]) -> None:
    result = broja(named(name), tolerance=1e-7)
    assert result[:4] == pytest.approx(atoms, abs=result.gap + 1e-12)


def test_gap_of_what_is_not_reached() -> None:
    """Stopped early, both solvers leave bounds that hold, and say how wide they are."""
    case = next(case for case in DISCRETE if case["name"] == "lcg_exp_10x10x10_s1")
    joint = joint_of(case)
    optimum = (case["union"] - entropy(joint.sum(axis=(0, 1)))) * np.log(2)
    for solver, few, many in ((run_interior_point, 3, 20), (run_mirror_descent, 1, 20_000)):
        widths = []
        for steps in (few, many):
            bracket = Bracket(
                joint.sum(1), joint.sum(0), by_class=np.full(joint.shape[2], -0.9), upper=9.0, tolerance=1e-7
            )
            solver(bracket, steps=steps)
            assert bracket.lower - 1e-9 <= optimum <= bracket.upper + 1e-9
            widths.append(bracket.upper - bracket.lower)
        assert widths[1] < 1e-5 < widths[0]


def test_solvers_agree() -> None:
    joint = random_joint("lcg_kd", 40, 12, 12, 3)
    brackets, low = [], np.full(joint.shape[2], -9 / joint.shape[2])
    for solver in (run_interior_point, run_mirror_descent):
        bracket = Bracket(joint.sum(axis=1), joint.sum(axis=0), by_class=low, upper=9.0, tolerance=1e-6)
        solver(bracket)
        assert bracket.is_closed
        brackets.append(bracket)
    assert max(bracket.lower for bracket in brackets) <= min(bracket.upper for bracket in brackets)


def test_hundred_classes() -> None:
    result = broja(random_joint("lcg_counts", 100, 50, 50, 1), tolerance=1e-6)
    assert result.gap <= 1e-6 + 2e-12


def test_few_samples_of_many_classes_take_few_looks_at_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mirror descent alone looks at them thousands of times, for some seconds, and does not reach the tolerance."""
    looks, tighten = [], Bracket.tighten
    monkeypatch.setattr(Bracket, "tighten", lambda *arguments: looks.append(1) or tighten(*arguments))
    rng = np.random.default_rng(0)
    target = rng.integers(0, 100, 1000)
    sources = (np.where(rng.random(1000) < 0.9, target % 10, rng.integers(0, 10, 1000)) for _ in range(2))
    counts = np.zeros((10, 10, 100), dtype=int)
    np.add.at(counts, (*sources, target), 1)
    rng = np.random.default_rng(0)
    halves = [rng.multivariate_hypergeometric(counts.ravel(), 500, method="marginals") for _ in range(18)]
    joint = halves[17].reshape(counts.shape) / 500
    result = broja(joint, tolerance=1e-6)
    assert len(looks) < 50
    assert result.gap <= 1e-6 + 2e-12


def test_zeros_of_both_tables_leave_the_optimum_where_it_is() -> None:
    """Two blocks of symbols and classes that do not meet: the decomposition of a mixture of known parts."""
    one, other = (random_joint("lcg_exp", 3, 4, 5, seed) for seed in (1, 2))
    mixture = np.zeros((8, 10, 6))
    mixture[:4, :5, :3], mixture[4:, 5:, 3:] = one / 2, other / 2
    first, second, whole = (broja(joint, tolerance=1e-8) for joint in (one, other, mixture))
    # Which block it is, one bit, both sources tell.
    expected = np.array([1.0, 0, 0, 0]) + (np.array(first[:4]) + np.array(second[:4])) / 2
    assert whole[:4] == pytest.approx(expected, abs=whole.gap + first.gap + second.gap)


_JOINTS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=4),
    elements=st.one_of(st.just(0.0), st.floats(1e-6, 1.0)),
).filter(lambda table: table.sum() > 0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(_JOINTS)
def test_consistency_and_signs(table: Array) -> None:
    joint = table / table.sum()
    result = broja(joint, tolerance=1e-6)
    assert min(result) >= 0
    assert result.gap <= 1e-6 + 2e-12
    information = mutual_information(joint.reshape(-1, joint.shape[2]))
    assert result.information_first == pytest.approx(mutual_information(joint.sum(1)), abs=1e-12)
    assert result.information_second == pytest.approx(mutual_information(joint.sum(0)), abs=1e-12)
    assert result.information == pytest.approx(information, abs=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(_JOINTS, st.randoms(use_true_random=False))
def test_swap_and_relabelling(table: Array, random: object) -> None:
    joint = table / table.sum()
    result = broja(joint, tolerance=1e-6)
    swapped = broja(joint.swapaxes(0, 1), tolerance=1e-6)
    mirrored = PID(result.redundant, result.unique_second, result.unique_first, result.synergistic, result.gap)
    assert _difference(swapped, mirrored) <= result.gap + swapped.gap
    for axis in range(3):
        order = list(range(joint.shape[axis]))
        random.shuffle(order)  # type: ignore[attr-defined]
        joint = joint.take(order, axis=axis)
    relabelled = broja(joint, tolerance=1e-6)
    assert _difference(relabelled, result) <= result.gap + relabelled.gap


@settings(max_examples=40, deadline=None, derandomize=True)
@given(_JOINTS)
def test_data_processing(table: Array) -> None:
    """RID, theorem 3.2 (iii): a function of the teacher has no more unique information; nor more redundant."""
    joint = table / table.sum()
    merged = np.concatenate([joint[:1] + joint[-1:], joint[1:-1]]) if len(joint) > 1 else joint
    fine, coarse = broja(joint, tolerance=1e-6), broja(merged, tolerance=1e-6)
    assert coarse.unique_first <= fine.unique_first + fine.gap + coarse.gap
    assert coarse.redundant <= fine.redundant + fine.gap + coarse.gap


def test_teacher_with_nuisance() -> None:
    """RID, theorem 3.1 (ii): of T = (Z, G), redundancy is largest when the student keeps Z, not the nuisance G."""
    joint = named("BSC0.1_BSC0.2_ci").sum(axis=1)  # Z and Y
    nuisance = np.array([0.3, 0.2, 0.2, 0.3])
    teacher = (joint[:, None] * nuisance[:, None]).reshape(8, 2)
    keeps_signal, keeps_nuisance = np.zeros((8, 2, 2)), np.zeros((8, 4, 2))
    for symbol in range(8):
        keeps_signal[symbol, symbol // 4] = teacher[symbol]
        keeps_nuisance[symbol, symbol % 4] = teacher[symbol]
    assert broja(keeps_signal).redundant == pytest.approx(mutual_information(joint), abs=1e-4)
    assert broja(keeps_nuisance).redundant == pytest.approx(0, abs=1e-4)


def test_batch_equals_single() -> None:
    joints = np.stack([random_joint("lcg_counts", 4, 3, 5, seed) for seed in (1, 2, 3)])
    batch = broja(joints, tolerance=1e-6)
    for index, joint in enumerate(joints):
        assert tuple(atom[index] for atom in batch) == broja(joint, tolerance=1e-6)


def test_deterministic() -> None:
    joint = random_joint("lcg_exp", 5, 6, 4, 1)
    assert broja(joint) == broja(joint.copy())


@pytest.mark.filterwarnings("error")
def test_odd_input() -> None:
    joint = named("lcg_counts_4x4x4_s3")
    expected = broja(joint, tolerance=1e-7)
    padded = np.pad(joint, ((1, 2), (0, 1), (2, 0)))
    assert _difference(broja(padded, tolerance=1e-7), expected) <= expected.gap
    rounded = broja((joint / joint.sum()).astype(np.float32), tolerance=1e-7)
    assert _difference(rounded, expected) <= 1e-5
    single_symbol = broja(joint.sum(axis=0, keepdims=True))
    assert single_symbol[:2] == (0, 0)
    assert single_symbol.unique_second == pytest.approx(mutual_information(joint.sum(axis=0)))
    assert broja(np.ones((1, 1, 1)))[:4] == (0, 0, 0, 0)
    tiny = np.random.default_rng(0).exponential(size=(5, 4, 3)) ** 30
    assert broja(tiny / tiny.sum()).gap <= 1e-4 + 2e-12


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.full((2, 2), 0.25), "axes"),
        (np.zeros((0, 2, 2)), "non-empty"),
        (np.full((2, 2, 2), 1.0), "sum to 1, got 8"),
        (np.full((2, 2, 2), np.nan), "NaN"),
        (np.array([[[1.5, -0.5]]]), "non-negative"),
        (np.stack([np.full((2, 2, 2), 0.125), np.full((2, 2, 2), 0.25)]), "sum to 1, got 2"),
    ],
)
def test_errors(table: Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        broja(table)


def test_a_wide_gap_errs_towards_less_redundancy_and_synergy() -> None:
    widest = 0.0
    for seed in (1, 2, 3):
        joint = random_joint("lcg_exp", 8, 6, 7, seed)
        loose, tight = broja(joint, tolerance=0.2), broja(joint, tolerance=1e-9)
        assert max(loose.redundant - tight.redundant, loose.synergistic - tight.synergistic) <= 1e-8
        assert min(loose.unique_first - tight.unique_first, loose.unique_second - tight.unique_second) >= -1e-8
        widest = max(widest, tight.redundant - loose.redundant)
    assert widest > 1e-4


def test_tolerance_must_be_positive() -> None:
    with pytest.raises(ValueError, match="tolerance"):
        broja(named("AND"), tolerance=0.0)
