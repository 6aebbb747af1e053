"""What `make reproduce` says about runs beside the kept results."""

import math
import shutil
from pathlib import Path

import pytest

from kdlight.errors import UserError
from kdlight.workbench import reproduce
from kdlight.workbench.ablate.ablation import AblationResult
from kdlight.workbench.ablate.grid import read_grid
from kdlight.workbench.ablate.jobs import Job, State
from kdlight.workbench.compare.kept_runs import read_kept
from kdlight.workbench.compare.statistics import summarise

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kept():
    return read_kept(ROOT / "notebooks/results/demo")


def change_accuracy(runs, difference):
    """Return the runs with another test accuracy after the last epoch."""
    changed = []
    for run in runs:
        last = {**run.result["test"]["last"], "accuracy": run.result["test"]["last"]["accuracy"] + difference}
        changed.append(run._replace(result={**run.result, "test": {**run.result["test"], "last": last}}))
    return changed


def test_the_same_runs_lie_within(kept):
    found = reproduce.compare_with_kept(kept, kept)
    assert {each.group for each in found} == {f"method={name}" for name in ("none", "vid", "rid", "kd")}
    assert {each.column for each in found} == {"last", "redundant"}
    assert {each.verdict for each in found} == {"within"}


def test_a_mean_beyond_the_interval_lies_outside(kept):
    of_kd = [run for run in kept if run.axes["method"] == "kd"]
    (accuracy,) = [each for each in reproduce.compare_with_kept(kept, of_kd) if each.column == "last"]
    for sign in (1, -1):
        for factor, verdict in ((0.99, "within"), (1.01, "outside")):
            new = change_accuracy(of_kd, sign * factor * accuracy.margin / 100)
            (each,) = [each for each in reproduce.compare_with_kept(kept, new) if each.column == "last"]
            assert each.verdict == verdict


def test_the_conclusion_counts_means_within_outside_and_without_interval(kept):
    new = change_accuracy([run for run in kept if run.axes["method"] == "kd"], 0.5)
    outside = reproduce.compare_with_kept(kept, new)
    assert reproduce.conclude(outside) == (
        "1 of 2 new means lie within their intervals. About 0.1 would lie outside if nothing had changed."
    )
    single = reproduce.compare_with_kept(kept[:1], kept[:1])
    assert reproduce.conclude([*reproduce.compare_with_kept(kept, kept), *single]) == (
        "8 of 8 new means lie within their intervals. The other 2 have no interval, because only one run of their "
        "group is kept."
    )


def test_the_margin_is_that_of_a_prediction_interval():
    # t(0.975, 2) = 4.302653; a deviation of 2 over 3 kept runs, and 1 new run: 4.302653 * 2 * sqrt(1/3 + 1)
    assert math.isclose(reproduce.compute_margin(summarise([1.0, 3.0, 5.0]), 1), 9.936552, rel_tol=1e-6)


def test_a_run_may_fail_if_the_kept_one_failed(kept):
    grid = read_grid(ROOT / "configs/grids/demo.yaml")
    jobs = [Job(cell.name, [], cell.folder, Path(), None, 1, state=State.FINISHED) for cell in grid.cells]
    jobs[0].state, jobs[0].reason = State.FAILED, "the loss is not finite"
    result = AblationResult(grid, list(grid.cells), jobs, complete=True)
    with pytest.raises(UserError, match=f"got {jobs[0].name}: the loss is not finite"):
        reproduce.require_end("demo", result, kept)
    failed = [run._replace(state="failed") if run.axes["method"] == "none" else run for run in kept]
    assert jobs[0].name.startswith("method=none")
    reproduce.require_end("demo", result, failed)


def test_one_kept_run_gives_no_verdict(kept):
    one = [run for run in kept if run.axes["method"] == "kd" and run.seed == 0]
    assert {each.verdict for each in reproduce.compare_with_kept(one, one)} == {"one kept run: no interval"}


def test_every_part_is_a_grid_whose_results_are_kept():
    for part in (*reproduce.FULL, *reproduce.QUICK):
        groups = reproduce.collect_groups(read_kept(ROOT / "notebooks/results" / part.grid))
        assert set(part.only) <= groups.keys()


def test_the_folder_of_the_data_is_linked_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for _ in range(2):
        reproduce.link_data(Path("images"))
        assert Path("data").samefile("images")
    (tmp_path / "others").mkdir()
    with pytest.raises(UserError, match="found another folder"):
        reproduce.link_data(Path("others"))
    with pytest.raises(UserError, match="does not exist"):
        reproduce.link_data(Path("missing"))


def test_outside_a_clone_it_says_where_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert reproduce.main([str(tmp_path)]) == 2
    assert "run this in the folder of a clone" in capsys.readouterr().err


@pytest.mark.slow
def test_a_repeated_arm_of_the_demo_lies_within(tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "notebooks/results", tmp_path / "notebooks/results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce, "QUICK", (reproduce.Part("demo", ("method=kd",), seed=0),))
    (tmp_path / "data").mkdir()
    assert reproduce.main(["data", "--quick"]) == 0
    assert "2 of 2 new means lie within their intervals." in capsys.readouterr().out
