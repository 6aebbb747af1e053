"""The study and the benchmark, in small."""

import numpy as np
import pytest

from kdlight.information.broja_solver import broja
from kdlight.information.estimated_pid import Estimate
from kdlight.workbench.pid_study import repeated_estimates, solver_benchmark, study, study_picture
from kdlight.workbench.pid_study.joints import make_clusters, make_peaked, make_sparse
from kdlight.workbench.pid_study.repeated_estimates import RepeatedEstimate
from tests.information.oracle import DISCRETE, joint_of


def test_joints_are_what_they_are_called():
    for name, joint in study.make_joints().items():
        assert joint.sum() == pytest.approx(1)
        assert "x".join(map(str, joint.shape)) in name
    classifiers = broja(study.make_joints()["classifiers, 10x10x10"])
    assert classifiers.redundant > 2
    assert min(classifiers.unique_first, classifiers.unique_second, classifiers.synergistic) > 0.01
    for joint in (make_peaked(3, 4), make_clusters(6, 2, kept=0.8, copied=0.0)):
        both = joint.sum(axis=1)[:, None] * joint.sum(axis=0)
        np.testing.assert_allclose(joint, both / joint.sum(axis=(0, 1)), atol=1e-12)  # independent given the class
    assert (make_sparse(10, 10) == 0).mean() > 0.4


def test_bias_deviation_and_coverage():
    found = RepeatedEstimate(0.0, [Estimate(-1.0, -2.5, 0.5, 1.0, True), Estimate(1.0, 0.5, 1.5, 3.0, False)])
    assert (found.coverage, found.kept, found.half_width, found.estimable) == (0.5, 0.0, 1.0, 0.5)
    wide = RepeatedEstimate(0.0, [Estimate(-1.0, -4.0, 2.0, 1.0, True), Estimate(1.0, 0.5, 1.5, 3.0, True)])
    assert wide.kept == 0.5
    assert found.format_cells()[:3] == ["0.000", "+2.000", "+0.000"]


def test_the_correction_helps_independent_sources():
    found = repeated_estimates.repeat_estimate(np.full((3, 3, 3), 1 / 27), 500, 8)["synergistic"]
    assert abs(found.values.mean()) < 0.3 * found.counted.mean()


def test_the_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(study, "make_joints", lambda: {"small": make_peaked(2, 2)})
    monkeypatch.setattr(study_picture, "SIZES", (100,))
    monkeypatch.setattr(study_picture, "BINS", (2,))
    plot = tmp_path / "study.png"
    options = ["--repetitions=8", "--samples", "100", f"--plot={plot}"]
    assert study.main(options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[2] for line in lines if line.startswith("| small")] == ["Red", "Uni 1", "Uni 2", "Syn"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert study.main(["--repetitions=1"]) == 2


def test_the_benchmark(monkeypatch, capsys):
    monkeypatch.setattr(solver_benchmark, "SIZES", solver_benchmark.SIZES[:2])
    monkeypatch.setattr(solver_benchmark, "BATCH", 2)
    assert solver_benchmark.main(["--largest_rival=0"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert len(rows) == 5
    for row in rows[:4]:
        assert row[2] == "kdlight"
        assert float(row[5]) <= float(row[4]) <= 1e-6


def test_what_a_stage_costs():
    *_, line = solver_benchmark.time_stage(samples=5_000, width=64, fitted=200)
    assert 0 < float(line.split()[1]) < 5


@pytest.mark.parametrize("name", ["AND", "lcg_exp_3x3x3_s2"])
@pytest.mark.parametrize("solver", ["cvxpy", "dit"])
@pytest.mark.filterwarnings("ignore")
def test_other_solvers_agree(name, solver):
    pytest.importorskip("ecos" if solver == "dit" else solver)
    pytest.importorskip(solver)
    case = next(case for case in DISCRETE if case["name"] == name)
    joint = joint_of(case)
    theirs = solver_benchmark.solve_by_dit(joint) if solver == "dit" else solver_benchmark.solve_by_cvxpy(joint, None)
    assert theirs == pytest.approx(case["red"], abs=1e-5)
    assert broja(joint, tolerance=1e-8).redundant == pytest.approx(theirs, abs=1e-5)
