"""Two small files instead of the runs of a grid: the same table, the same curves."""

import csv
import json

import pytest

from kdlight.__main__ import main
from kdlight.workbench.compare.over_epochs import read_logged
from kdlight.workbench.compare.records import read_records
from tests.workbench.compare.test_table import write_run


@pytest.fixture
def grid(tmp_path):
    for method, labels, accuracy in (
        ("kd", "6", 0.812345),
        ("kd", "all", 0.91),
        ("none", "6", 0.7),
        ("none", "all", 0.9),
    ):
        for seed in (0, 1):
            folder = tmp_path / "grid" / f"method={method},labels={labels}" / f"seed={seed}"
            write_run(folder, "KD" if method == "kd" else "Supervised", seed, accuracy + 0.01 * seed)
            (folder / "metrics.csv").write_text(
                f"epoch,val/accuracy,pid/stage3/redundant,pid/stage3/label_entropy\n0,0.3,,\n1,0.{4 + seed},2.5,3.3\n"
            )
            result = json.loads((folder / "result.json").read_text())
            settings = {"label": {"symbols": "kmeans", "clusters": {"stage3": 20}, "repeats": 5, "samples": 300}}
            more = {"command": "kdlight fit", "class_names": ["a"], "pid_settings": settings}
            (folder / "result.json").write_text(json.dumps({**result, **more}))
    return tmp_path / "grid"


@pytest.mark.parametrize("form", ["markdown", "csv", "table"])
def test_the_table_is_that_of_the_runs(form, grid, tmp_path, capsys):
    options = [f"--format={form}", "--baseline=method=none"]
    assert main(["compare", str(grid), f"--keep={tmp_path / 'kept'}", *options]) == 0
    of_runs = capsys.readouterr().out
    assert of_runs.endswith(f"saved {tmp_path / 'kept'}\n")
    assert main(["compare", str(tmp_path / "kept"), *options]) == 0
    assert of_runs.removesuffix(f"saved {tmp_path / 'kept'}\n") == capsys.readouterr().out


def test_a_row_a_run_with_its_configuration_and_no_command(grid, tmp_path):
    assert main(["compare", str(grid), f"--keep={tmp_path / 'kept'}"]) == 0
    with (tmp_path / "kept" / "runs.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["method"], row["labels"], row["seed"]) for row in rows[:3]] == [
        ("kd", "6", "0"),
        ("kd", "6", "1"),
        ("kd", "all", "0"),
    ]
    assert float(rows[0]["test.last.accuracy"]) == 0.812345
    assert len({row["configuration"] for row in rows}) == 2, "a seed is no setting, the method is one"
    assert not {"command", "class_names", "final"} & set(rows[0])


def test_curves_are_those_of_the_runs(grid, tmp_path):
    assert main(["compare", str(grid), f"--keep={tmp_path / 'kept'}"]) == 0
    for of_runs, kept in zip(read_records([grid]), read_records([tmp_path / "kept"]), strict=True):
        assert (of_runs.axes, of_runs.seed) == (kept.axes, kept.seed)
        for key in ("val/accuracy", "pid/stage3/redundant"):
            assert read_logged(kept, [key]) == read_logged(of_runs, [key]) != {}


def test_pictures_are_those_of_the_runs(grid, tmp_path):
    assert main(["compare", str(grid), f"--keep={tmp_path / 'kept'}"]) == 0
    for name in ("plot", "panels", "bars", "scatter"):
        for place in ("grid", "kept"):
            assert main(["compare", str(tmp_path / place), f"--{name}={tmp_path / place}-{name}.png"]) == 0
        of_runs, kept = ((tmp_path / f"{place}-{name}.png").read_bytes() for place in ("grid", "kept"))
        assert of_runs == kept, name


def test_unfinished_runs_and_runs_of_no_grid_are_refused(grid, tmp_path, capsys):
    write_run(grid / "method=kd,labels=7" / "seed=0", finished=False)
    assert main(["compare", str(grid), f"--keep={tmp_path / 'kept'}"]) == 2
    assert "expected finished or failed runs of a grid, got" in capsys.readouterr().err
    write_run(tmp_path / "single")
    assert main(["compare", str(tmp_path / "single"), f"--keep={tmp_path / 'kept'}"]) == 2
    assert "which belongs to no grid" in capsys.readouterr().err


def test_a_run_whose_loss_was_not_finite_is_kept_as_failed(grid, tmp_path, capsys):
    write_run(grid / "method=kd,labels=7" / "seed=0", finished=False)
    (grid / "method=kd,labels=7" / "seed=0" / "nonfinite.pt").touch()
    tables = {}
    for place in (grid, tmp_path / "kept"):
        assert main(["compare", str(place), f"--keep={tmp_path / 'kept'}"]) == 0
        tables[place] = capsys.readouterr().out
    assert "is failed: the loss became NaN or infinite" in tables[grid]
    assert "0 of 1" in tables[grid]
    (kept,) = [record for record in read_records([tmp_path / "kept"]) if record.axes["labels"] == "7"]
    assert (kept.state, kept.reason) == ("failed", "the loss became NaN or infinite")


def test_other_files_of_that_name_are_refused(tmp_path, capsys):
    (tmp_path / "runs.csv").write_text("a,b\n1,2\n")
    assert main(["compare", str(tmp_path)]) == 2
    assert "are not as kdlight compare RUNS --keep writes them" in capsys.readouterr().err
