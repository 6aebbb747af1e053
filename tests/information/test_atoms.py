"""The report of a histogram."""

import numpy as np
import pytest

from kdlight.information.atoms import estimated_atoms
from kdlight.information.resampling import bootstrap


def _counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    joint = rng.standard_exponential((3, 4, 2)) ** 3
    return rng.multinomial(2000, (joint / joint.sum()).ravel()).reshape(joint.shape)


def test_parts_and_wholes() -> None:
    report = estimated_atoms(_counts(), names=("teacher", "student", "label"))
    for source in ("teacher", "student"):
        parts = report["redundant"] + report[f"unique_{source}"]
        assert parts == pytest.approx(report[f"information_{source}"], abs=1e-12)
    of_teacher = report["redundant_fraction_of_teacher"] + report["unique_teacher_fraction_of_teacher"]
    assert of_teacher == pytest.approx(1)
    entropy = report["redundant"] / report["redundant_fraction_of_label"]
    counted = _counts().sum(axis=(0, 1)) / 2000
    assert entropy == pytest.approx(-(counted * np.log2(counted)).sum())
    assert report["gap"] <= 1e-6


def test_corrections_are_those_of_bootstrap() -> None:
    report, expected = estimated_atoms(_counts(), seed=3), bootstrap(_counts(), seed=3)
    for name in ("redundant", "unique_first", "unique_second", "synergistic"):
        interval = getattr(expected, name)
        given = tuple(report[f"{name}_{part}"] for part in ("corrected", "lower", "upper"))
        assert given == (interval.estimate, interval.lower, interval.upper)
        assert report[name] == pytest.approx(interval.plug_in, abs=2e-5)


def test_a_constant_source_has_fractions_of_zero() -> None:
    report = estimated_atoms(np.array([[[50, 30], [20, 60]]]))
    assert report["information_first"] == report["redundant_fraction_of_first"] == 0


def test_undersampled_synergy_is_flagged() -> None:
    """With more cells than samples the extrapolation sees no bias; the cells seen once tell."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(300, np.full(1000, 1e-3)).reshape(10, 10, 10)
    with pytest.warns(UserWarning, match="fewer than 5"):
        assert estimated_atoms(counts)["synergy_mostly_bias"] == 1
