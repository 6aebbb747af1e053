"""`kdlight bench`: the bare loop does kdlight's work, the parts are the whole, the command says what it measured."""

import ast
import json
import os
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch

from kdlight.__main__ import main
from kdlight.cli.messages import silence_libraries
from kdlight.workbench.bench import bare_loop, parallel_jobs, standard
from kdlight.workbench.bench.bare_loop import BareLoop, Recipe
from kdlight.workbench.bench.command import take_against
from kdlight.workbench.bench.data_path import time_data_path
from kdlight.workbench.bench.measure import make_workplace
from kdlight.workbench.bench.parallel_jobs import ParallelJobs
from kdlight.workbench.bench.parts import BACKWARD, PARTS, STUDENT, TEACHER, PartsProfiler
from kdlight.workbench.bench.random_images import RandomImages
from kdlight.workbench.bench.timed_fit import FIT, Pace, TimedFit

PAIR = [
    "--model=kdlight.methods.KD", "--model.student=kdlight.models.resnet8", "--model.teacher=kdlight.models.resnet8",
    "--model.untrained_teacher=true", "--trainer.accelerator=cpu", "--trainer.max_epochs=9",
]  # fmt: skip
DIGITS = [*PAIR, "--data=kdlight.data.DigitsDataModule", "--data.batch_size=16"]
RANDOM = [*PAIR, "--data=kdlight.workbench.bench.random_images.RandomImages", "--data.train_images=64"]
PACE = ["--steps", "1", "--warmup", "1", "--repeat", "3"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["kdlight"])
    silence_libraries()


@pytest.mark.parametrize("method", ["KD", "Supervised"])
def test_the_bare_loop_computes_what_a_fit_computes(method):
    alone = ["--model=kdlight.methods.Supervised", "--model.student=kdlight.models.resnet8", "--trainer.max_epochs=9"]
    options = [*RANDOM, "--data.batch_size=16"] if method == "KD" else [*alone, *RANDOM[len(PAIR) :]]
    steps = []
    with make_workplace() as folder:
        fit = TimedFit.build([*options, "--data.batch_size=16", "--trainer.accelerator=cpu"], folder / "run")
        fit.data.setup("fit")
        samples, views = fit.data.get_split("train"), fit.data.views.draw(0)
        teacher = fit.model.teacher.model if method == "KD" else None
        recipe = Recipe(batch_size=16, mean=fit.data.mean, std=fit.data.std)
        loop = BareLoop(fit.model.student, teacher, samples.images, samples.target, recipe)
        step = fit.model.training_step

        def recorded(batch, batch_idx):
            loss = step(batch, batch_idx)
            steps.append((batch, loss.detach()))
            return loss

        fit.model.training_step = recorded
        fit.run(Pace(steps=2, warmup=1, turns=1), {})
    assert len(steps) == 3
    for batch, loss in steps:
        chosen = views["0.shifts"][batch.index].long(), views["0.flipped"][batch.index]
        images = loop.augment(samples.images[batch.index], *chosen)
        assert torch.allclose(images, batch.images, atol=1e-5)
        assert loop.step(batch.index, *chosen).item() == pytest.approx(loss.item(), abs=1e-5)
    for name, value in fit.model.student.state_dict().items():
        assert torch.allclose(loop.student.state_dict()[name], value, atol=1e-5), name


def test_given_logits_are_those_of_the_sample():
    network = TimedFit.build([*DIGITS], Path("unused")).model.student
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    target = torch.randint(0, 10, (40,))
    recipe = Recipe(batch_size=8, padding=0, mirror=False, mean=(0.3,), std=(0.4,))
    live = BareLoop(network, network, images, target, recipe)
    with torch.inference_mode():
        logits = live.teacher(live.augment(images, None, None))
    given = BareLoop(network, network, images, target, recipe, given_logits=logits)
    index = torch.tensor([3, 30, 7])
    expected = live.step(index, None, None)
    assert given.step(index, None, None).item() == pytest.approx(expected.item(), rel=1e-4)
    assert given.run(7) == 56


def test_the_bare_loop_has_torch_and_the_networks_alone():
    tree = ast.parse(Path(bare_loop.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    allowed = {"copy", "math", "typing", "torch", "torch.nn.functional", "kdlight.models.classifier"}
    assert imported <= allowed


def test_the_parts_are_the_whole(monkeypatch):
    readings, now = [], PartsProfiler._read_clocks

    def recorded(profiler):
        readings.append(now(profiler))
        return readings[-1]

    monkeypatch.setattr(PartsProfiler, "_read_clocks", recorded)
    with make_workplace() as folder:
        fit = TimedFit.build(DIGITS, folder / "run")
        parts, memory = fit.measure_parts(Pace(steps=1, warmup=1, turns=3))
    assert memory is None
    assert list(parts) == list(PARTS)
    assert all(part.wall > 0 and part.cpu >= 0 for part in parts.values())
    for clock, whole in enumerate(last - first for first, last in zip(readings[0], readings[-2], strict=True)):
        assert 3 * sum(part[clock] for part in parts.values()) == pytest.approx(whole)
    # The networks compute most of what a CPU does in a step.
    computing = sum(parts[name].cpu for name in (TEACHER, STUDENT, BACKWARD))
    assert 0.3 < computing / sum(part.cpu for part in parts.values()) < 1
    assert "activations" not in vars(fit.model.student), "what was watched is as it was"


def test_reading_a_cache_is_the_teachers_part():
    with make_workplace() as folder:
        fit = TimedFit.build([*DIGITS, f"--model.teacher_cache.path={folder}/cache"], folder / "run")
        parts, _ = fit.measure_parts(Pace(steps=1, warmup=1, turns=1))
    assert 0 < parts[TEACHER].wall < parts[STUDENT].wall


def test_the_command(capsys):
    change = "--model.channels_last=false --model.temperature=2"
    assert main(["bench", *DIGITS, *PACE, "--json", "out/bench.json", "--against", change]) == 0
    printed = capsys.readouterr().out
    assert "bare loop with the teacher's logits given" in printed
    assert not Path("runs").exists()
    content = json.loads(Path("out/bench.json").read_text())
    rows = {row["name"]: row for row in content["rows"]}
    assert list(rows) == [FIT, change, "bare loop", "bare loop with the teacher's logits given"]
    for row in rows.values():
        assert len(row["turns"]["images_per_second"]) == len(row["turns"]["images_per_cpu_second"]) == 3
        assert min(row["images_per_second"], row["images_per_cpu_second"]) > 0
        assert row["of_first"] == pytest.approx(row["of_bare"] / rows[FIT]["of_bare"])
    assert rows["bare loop"]["of_bare"] == rows[FIT]["of_first"] == 1
    for name in (FIT, change):
        assert set(rows[name]["parts"]) == set(PARTS)
        assert sum(part["share"] for part in rows[name]["parts"].values()) == pytest.approx(1)
    assert content["clock"] == "cpu"
    assert content["steps"] == 1
    assert content["turns"] == 3
    assert content["command"].startswith("kdlight bench --model=kdlight.methods.KD")
    assert content["config"]["model"]["init_args"]["temperature"] == 4
    assert {"device", "threads", "packages", "python", "git_commit", "peak_memory"} <= set(content)


def test_what_a_run_of_another_length_says(capsys):
    assert main(["bench", *DIGITS, *PACE, "--trainer.max_steps=2"]) == 2
    message = capsys.readouterr().err
    assert "the run ended after 2 steps: expected 4" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (["--steps", "0"], "--steps: expected 1 or more, got 0"),
        (["--against"], "--against: expected options of kdlight fit in quotes after it, got nothing"),
        (["--against", "--trainer.precision '"], "No closing quotation"),
        (["--against=--model.channel_last=false"], "did you mean 'channels_last'"),
        (["--trainer.devices", "2"], "add --trainer.devices 1"),
    ],
)
def test_bad_input_is_said_in_one_line(options, answer, capsys):
    assert main(["bench", *DIGITS, *PACE, *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert answer in captured.err
    assert len(captured.err.splitlines()) == 1


def test_against_is_repeatable():
    options = ["--config", "a.yaml", "--against", "--x=1 --y 2", "--against=--z 3", "--steps", "1"]
    assert take_against(options) == ([["--x=1", "--y", "2"], ["--z", "3"]], ["--config", "a.yaml", "--steps", "1"])


def test_the_data_path_alone():
    timed = time_data_path(RandomImages(train_images=600), turns=2)
    assert timed.kdlight > timed.torchvision > 0
    assert timed.ratio > 1


def test_the_standard_set(monkeypatch, capsys):
    pair = standard.Pair("resnet8", "resnet8", Pace(1, 1, 2), of_bare=0.95, cached=1.0, given=1e9)
    monkeypatch.setattr(standard, "PAIRS", (pair,))
    monkeypatch.setattr(standard, "IMAGES", 200)
    monkeypatch.setattr(standard, "measure_data_path", list)
    monkeypatch.setattr(standard, "time_jobs", lambda: ParallelJobs(one=30.0, two=15.0))
    assert standard.main(["--json", "standard.json"]) == 0
    assert "resnet8 -> resnet8: speed of fit" in capsys.readouterr().out
    content = json.loads(Path("standard.json").read_text())
    (measured,) = content["pairs"]
    assert measured["filling"]["images"] == 4 * 200
    assert {line["what"].partition(": ")[2] for line in content["summary"]} == {
        "speed of fit / of the bare loop", "speed of fit with a filled cache / without",
        "speed of the bare loop with given logits / without", "images/s while the cache is filled", "",
    }  # fmt: skip
    (gain,) = [line for line in content["summary"] if line["what"] == "speed of the grid with two jobs / with one"]
    assert gain["measured"] == 2.0
    assert gain["goal"] == pytest.approx(1 / 0.6)


def test_jobs_are_timed_in_the_grid_s_own_way(monkeypatch):
    calls = []

    def ablate(grid, *, jobs, runs, console):
        calls.append((jobs, grid["seeds"], runs.name))
        return mock.Mock(runs=[None] * grid["seeds"])

    monkeypatch.setattr(parallel_jobs, "ablate", ablate)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    timed = parallel_jobs.time_jobs(runs=3)
    assert calls == [(1, 1, "start"), (1, 3, "one"), (2, 3, "two")]
    assert timed.ratio == timed.one / timed.two
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert parallel_jobs.time_jobs() is None


@pytest.mark.slow
def test_the_timed_grid_trains():
    timed = parallel_jobs.time_jobs(runs=2, epochs=1)
    assert timed is None or min(timed) > 0
