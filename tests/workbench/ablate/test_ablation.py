"""A grid that is trained: each run once, whatever fails, is stopped or killed in between."""

import io
import json
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from jsonargparse import Namespace
from rich.console import Console

from kdlight.__main__ import main
from kdlight.cli.shipped import find_shipped_folder
from kdlight.errors import UserError
from kdlight.workbench.ablate.ablation import ablate, plan_jobs, select_cells
from kdlight.workbench.ablate.grid import Cell, read_grid
from kdlight.workbench.ablate.jobs import State
from kdlight.workbench.ablate.steps import count_steps

SHORT = {
    "data.train_per_class": 6,
    "data.batch_size": 30,
    "trainer.max_epochs": 2,
    "trainer.callbacks": None,
    "trainer.enable_model_summary": False,
}
GRID = {
    "name": "tried",
    "axes": {
        "size": {"short": {"config": "digits/teacher.yaml", **SHORT}},
        "model.optimizer.lr": [0.05, 0.1],
    },
    "seeds": 2,
}
TIMES = ("seconds", "train_seconds", "images_per_second", "peak_memory", "command", "git_commit")


def stop_first(root: Path) -> None:
    """Send SIGTERM to the first run of a grid as soon as it has logged an epoch."""
    while not list(root.rglob("metrics.csv")):
        time.sleep(0.1)
    (process,) = multiprocessing.active_children()
    os.kill(process.pid, signal.SIGTERM)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def results(root: Path) -> dict[str, dict]:
    """What every run of a grid came to, without times."""
    found = {}
    for file in sorted(root.rglob("result.json")):
        content = json.loads(file.read_text())
        final = {key: value for key, value in content["final"].items() if key not in TIMES}
        kept = {key: value for key, value in content.items() if key not in TIMES}
        found[str(file.parent.relative_to(root))] = {**kept, "final": final}
    return found


def test_each_run_is_trained_once_and_a_failure_stops_nothing_else(folder, capfd):
    broken = {**GRID["axes"]["size"]["short"], "model.student_weights": "nowhere.pt"}
    grid = {**GRID, "axes": {**GRID["axes"], "size": {**GRID["axes"]["size"], "broken": broken}}, "seeds": 1}
    first = ablate(grid, jobs=2)
    assert [job.state for job in first.jobs] == [State.FINISHED] * 2 + [State.FAILED] * 2
    assert "nowhere.pt" in first.failed["size=broken,model.optimizer.lr=0.05/seed=0"]
    assert sorted(results(folder / "runs/tried")) == [
        f"size=short,model.optimizer.lr={rate}/seed=0" for rate in (0.05, 0.1)
    ]
    written = {file: file.stat().st_mtime_ns for file in folder.rglob("result.json")}
    ablate({**GRID, "seeds": 1})
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("result.json")} == written
    assert "size=short,model.optimizer.lr=0.1/seed=0: finished" in capfd.readouterr().out
    assert first.runs[0].result["seed"] == 0
    assert first.runs[0].result["threads"] == 1
    assert count_steps(first.jobs[0].parsed) == first.runs[0].metrics["step"].iloc[-1] + 1


@pytest.mark.slow
def test_a_finished_run_of_another_configuration_is_said(folder):
    ablate({**GRID, "seeds": 1})
    changed = {
        **GRID,
        "axes": {**GRID["axes"], "size": {"short": {**GRID["axes"]["size"]["short"], "data.batch_size": 20}}},
    }
    grid = read_grid({**changed, "seeds": 1})
    jobs = plan_jobs(grid, grid.cells)
    assert all("batch_size was 30, the grid says 20" in job.reason for job in jobs)
    console = Console(file=io.StringIO())
    ablate({**changed, "seeds": 1}, console=console)
    said = console.file.getvalue()
    assert said.count("finished, but differs: data.init_args.batch_size was 30, the grid says 20") == len(jobs)


def test_a_missing_teacher_is_a_run_before_those_that_need_it(folder):
    grid = read_grid({"name": "taught", "base": "digits/kd.yaml", "seeds": 2})
    teacher, *students = plan_jobs(grid, grid.cells)
    assert teacher.folder.path == Path("runs/digits/teacher")
    assert [student.needs for student in students] == [[teacher], [teacher]]


@pytest.mark.parametrize("file", sorted((find_shipped_folder() / "grids").glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_grids_are_made_of_configurations_that_parse(file, folder):
    grid = read_grid(file)
    every_label: dict[tuple[str, str], Cell] = {}
    for cell in grid.cells:
        for place in cell.axes.items():
            every_label.setdefault(place, cell)
    cells = {cell.name: cell for cell in every_label.values()}
    assert len(plan_jobs(grid, list(cells.values()))) >= len(cells)
    assert set(grid.published) <= {cell.group for cell in grid.cells}


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted((find_shipped_folder() / "grids").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_combination_of_a_shipped_grid_parses(file, folder):
    grid = read_grid(file)
    cells = select_cells(grid, [], grid.cells[0].seed)
    assert len(plan_jobs(grid, cells)) >= len(cells)


@pytest.mark.parametrize("file", sorted((find_shipped_folder() / "sweeps").glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_sweeps_are_those_of_their_grids_and_each_choice_is_a_run(file, folder):
    sweep = yaml.safe_load(file.read_text())
    *_, grid, _ = sweep["command"]
    assert main(["ablate", grid, "--wandb", "sweep.yaml"]) == 0
    assert yaml.safe_load((folder / "sweep.yaml").read_text()) == sweep
    cells = read_grid(grid)
    for only in sweep["parameters"]["only"]["values"]:
        for seed in sweep["parameters"]["seed"]["values"]:
            assert [cell.name for cell in select_cells(cells, [only], seed)] == [f"{only}/seed={seed}"]


def test_only_some_runs(folder):
    grid = read_grid(GRID)
    assert [cell.name for cell in select_cells(grid, ["model.optimizer.lr=0.1"], 1)] == [
        "size=short,model.optimizer.lr=0.1/seed=1"
    ]
    with pytest.raises(UserError, match="has no run 'size=tall'"):
        select_cells(grid, ["size=tall"], None)


def test_a_wrong_configuration_is_said_before_anything_is_trained(folder, capsys):
    (folder / "grid.yaml").write_text(yaml.safe_dump({"base": "digits/kd.yaml", "axes": {"model.temprature": [1]}}))
    assert main(["ablate", "grid.yaml"]) == 2
    assert "did you mean 'temperature'" in capsys.readouterr().err
    assert not (folder / "runs").exists()


def test_dry_prints_every_command(folder, capsys):
    (folder / "tried.yaml").write_text(yaml.safe_dump(GRID, sort_keys=False))
    assert main(["ablate", "tried.yaml", "--dry"]) == 0
    *commands, total = capsys.readouterr().out.splitlines()
    assert len(commands) == 4
    assert all(command.startswith("kdlight fit --config=digits/teacher.yaml") for command in commands)
    assert total == "4 runs to train, 8 epochs and 16 steps in all; 0 other runs are finished"


def test_steps_follow_the_options_of_the_trainer(folder):
    """Two epochs of sixty images in batches of 30."""
    grid = read_grid(GRID)
    (job,) = plan_jobs(grid, grid.cells[:1])
    given = job.parsed.config.trainer
    for changed, steps in (
        ({}, 4),
        ({"accumulate_grad_batches": 2}, 2),
        ({"limit_train_batches": 1}, 2),
        ({"limit_train_batches": 0.5}, 2),
        ({"max_steps": 3}, 3),
        ({"devices": 2}, 2),
    ):
        job.parsed.config.trainer = given.clone()
        job.parsed.config.trainer.update(Namespace(**changed))
        assert count_steps(job.parsed) == steps, changed


def test_steps_of_data_that_are_not_there(folder, capsys):
    grid = {"base": ["data/cifar10.yaml", "cifar10/teacher.yaml"], "options": {"data.data_dir": "nowhere"}}
    (folder / "tried.yaml").write_text(yaml.safe_dump(grid))
    assert main(["ablate", "tried.yaml", "--dry"]) == 0
    total = capsys.readouterr().out.splitlines()[-1]
    assert total.startswith("1 runs to train, ")
    assert "the number of steps is unknown: " in total
    assert "nowhere" in total


def test_a_run_that_is_stopped_alone_stands_in_the_table(folder, capsys):
    """SIGTERM reaches one worker, as from an administrator; the grid and its other run go on."""
    stop = threading.Thread(target=stop_first, args=(folder / "runs/tried",))
    stop.start()
    epochs = {"many": {"trainer.max_epochs": 5000}, "few": {"trainer.max_epochs": 2}}
    ran = ablate({"name": "tried", "base": "digits/teacher.yaml", "options": SHORT, "axes": {"epochs": epochs}})
    stop.join()
    name = "epochs=many/seed=0"
    assert list(ran.stopped) == [name]
    assert "stopped by a signal" in ran.stopped[name]
    assert [job.state for job in ran.jobs] == [State.STOPPED, State.FINISHED]
    table = ran.table().set_index("epochs")
    assert table["state"].to_dict() == {"many": "stopped", "few": "finished"}
    assert "stopped by a signal" in table["reason"]["many"]
    assert math.isnan(table["last"]["many"])
    assert table["last"]["few"] == pytest.approx(100 * ran.runs[0].result["test"]["last"]["accuracy"])
    assert f"{name}: stopped: stopped by a signal" in capsys.readouterr().out


@pytest.mark.slow
def test_an_agent_of_the_sweep_trains_one_run(folder):
    (folder / "tried.yaml").write_text(yaml.safe_dump(GRID, sort_keys=False))
    assert main(["ablate", "tried.yaml", "--wandb", "sweep.yaml"]) == 0
    sweep = yaml.safe_load((folder / "sweep.yaml").read_text())
    chosen = {name: values["values"][-1] for name, values in sweep["parameters"].items()}
    given = [f"--{name}={value}" for name, value in chosen.items()]  # as an agent writes ${args}
    command = [part for part in sweep["command"] if not part.startswith("${")]
    assert main([*command[1:], *given]) == 0
    assert list(results(folder / "runs/tried")) == ["size=short,model.optimizer.lr=0.1/seed=1"]


def logged(root: Path) -> int:
    """How many epochs all runs of a grid have logged."""
    return sum(len(file.read_text().splitlines()) - 1 for file in root.rglob("metrics.csv"))


@pytest.mark.slow
def test_a_grid_killed_twice_ends_as_one_that_was_not(folder):
    """Three methods and three seeds, killed by SIGKILL after random numbers of epochs; the teacher is made once."""
    methods = {"kd": "digits/kd.yaml", "rid": "digits/rid.yaml", "none": "digits/baseline.yaml"}
    options = {**SHORT, "trainer.max_epochs": 12}
    grid = {"options": options, "axes": {"method": methods}, "seeds": 3}
    (folder / "tried.yaml").write_text(yaml.safe_dump(grid, sort_keys=False))
    assert main(["ablate", "tried.yaml", "--runs=whole", "--jobs=2"]) == 0
    whole = results(folder / "whole/tried")
    assert len(whole) == 9
    command = [sys.executable, "-m", "kdlight", "ablate", "tried.yaml", "--runs=killed", "--jobs=2"]
    draws = random.Random()
    for lowest, highest in ((5, 45), (55, 95)):
        after = draws.randint(lowest, highest)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while logged(folder / "killed/tried") < after:
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert len(results(folder / "killed/tried")) < len(whole), f"killed after {after} epochs, too late"
        time.sleep(1)  # the runs notice that their parent is gone
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert results(folder / "killed/tried") == whole


@pytest.mark.slow
def test_submitted_through_submitit(folder):
    submitit = pytest.importorskip("submitit")
    from kdlight.workbench.ablate.slurm import submit

    grid = read_grid({**GRID, "seeds": 1})
    jobs = plan_jobs(grid, grid.cells)
    submitted = submit(jobs, 1, folder / "submitted", cluster="local", options={"timeout_min": 5})
    assert isinstance(submitted[0], submitit.Job)
    for job in submitted:
        job.result()
    assert len(results(folder / "runs/tried")) == 2
