"""`kdlight.fit`, `Run` and `load_runs`: runs made from Python are those of the command."""

import functools
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import GradientAccumulationScheduler, Timer

import kdlight
from kdlight.__main__ import main
from kdlight.callbacks import PIDMonitor
from kdlight.cli import from_python
from kdlight.data import DigitsDataModule
from kdlight.errors import MissingFileError, UserError
from kdlight.methods import KD, Supervised
from kdlight.models import Frozen, Tapped, resnet8

DIGITS = Path(__file__).parents[2] / "configs/digits"
QUICK = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
FEW = {"train_per_class": 10, "batch_size": 50, "val_size": 100}


def networks():
    torch.manual_seed(0)
    return resnet8(10, (1, 8, 8)), resnet8(10, (1, 8, 8))


@pytest.fixture
def objects(tmp_path, monkeypatch):
    """A run of KD with PID that was built in Python, and its teacher."""
    monkeypatch.chdir(tmp_path)
    student, teacher = networks()
    monitor = PIDMonitor(clusters=2, stages=["logits"], fit_samples=50)
    method = KD(student, Frozen(teacher), temperature=2.0)
    run = kdlight.fit(method, DigitsDataModule(**FEW), max_epochs=2, folder="runs/mine", callbacks=[monitor], **QUICK)
    return run, method


def test_objects_make_the_run_that_a_command_makes(objects, tmp_path, capsys):
    run, method = objects
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}, "nothing is left in the current folder"
    assert {path.name for path in run.folder.iterdir()} >= {
        "config.yaml", "metrics.csv", "result.json", "teacher.safetensors", "checkpoints"
    }  # fmt: skip
    assert run.finished
    assert run.result["method"] == "KD"
    assert set(run.result["test"]) == {"last", "best"}
    assert list(run.metrics.index) == [0, 1]
    assert run.metrics["pid/logits/redundant"].notna().all()
    config = run.config["model"]
    assert config["class_path"] == "kdlight.methods.KD"
    assert config["init_args"]["temperature"] == 2.0
    assert config["init_args"]["kd_weight"] == 0.9, "defaults are written, as by the command"
    assert run.config["data"]["init_args"]["train_per_class"] == 10
    images = torch.rand(3, 1, 8, 8)
    last = kdlight.Run(run.folder / "checkpoints/last.ckpt")
    torch.testing.assert_close(last.student()(images), method.student.eval()(images))
    torch.testing.assert_close(run.teacher()(images), method.teacher.model(images))
    assert main(["compare", "runs/mine"]) == 0
    assert "mine" in capsys.readouterr().out
    assert main(["test", "--config=runs/mine/config.yaml", "--ckpt_path=last"]) == 0
    assert f"test accuracy {100 * run.result['test']['last']['accuracy']:.2f} %" in capsys.readouterr().out
    options = ["--symbols=predictions", "--fit_samples=50", "--json=pid.json"]
    assert main(["pid", "--student", "runs/mine", *options]) == 0
    assert json.loads(Path("pid.json").read_text())["teacher_sha256"] == method.teacher.sha256()


def test_a_run_of_objects_continues(objects, tmp_path):
    run, method = objects
    student, _ = networks()
    other = KD(student, method.teacher, temperature=3.0)
    with pytest.raises(UserError, match=r"temperature was 2.0, is now 3.0: .* in runs/mine"):
        kdlight.fit(other, DigitsDataModule(**FEW), max_epochs=3, folder=run.folder, ckpt_path="last", **QUICK)
    more = KD(student, method.teacher, temperature=2.0)
    again = kdlight.fit(
        more, DigitsDataModule(**FEW), max_epochs=3, folder=run.folder, ckpt_path="last", **QUICK,
        callbacks=[PIDMonitor(clusters=2, stages=["logits"], fit_samples=50)],
    )  # fmt: skip
    assert again.folder == run.folder
    assert list(again.metrics.index) == [0, 1, 2]
    assert again.result["epochs"] == 3


class Watches(Callback):
    """A callback that a configuration cannot describe, and that changes nothing."""

    only_observes = True


def test_a_run_continues_with_or_without_a_callback_that_only_observes(tmp_path):
    def fit(epochs, *callbacks, **options):
        torch.manual_seed(0)
        method, data = Supervised(resnet8(10, (1, 8, 8))), DigitsDataModule(**FEW)
        return kdlight.fit(
            method, data, max_epochs=epochs, folder=tmp_path / "run", callbacks=list(callbacks), **options, **QUICK
        )

    fit(1, Watches(), Timer())
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["model"]["init_args"]["compile"] is False
    assert fit(2, ckpt_path="last").result["epochs"] == 2
    assert fit(3, Watches(), ckpt_path="last").result["epochs"] == 3
    with pytest.raises(UserError, match=r"trainer.callbacks.*GradientAccumulationScheduler"):
        fit(4, GradientAccumulationScheduler({0: 2}), ckpt_path="last")


def test_numbers_of_numpy_are_written_as_numbers(tmp_path):
    student, teacher = networks()
    method = KD(student, Frozen(teacher), temperature=np.float32(3), standardize_logits=np.bool_(True))
    run = kdlight.fit(method, DigitsDataModule(**FEW), max_epochs=1, folder=tmp_path / "run", **QUICK)
    arguments = run.config["model"]["init_args"]
    assert (arguments["temperature"], arguments["standardize_logits"]) == (3.0, True)


def test_without_a_folder_the_newest_run_continues(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def fit(epochs, **options):
        student = resnet8(10, (1, 8, 8))
        return kdlight.fit(Supervised(student), DigitsDataModule(**FEW), max_epochs=epochs, **options, **QUICK)

    first, second = fit(1), fit(1)
    continued = fit(2, ckpt_path="last")
    assert continued.folder == second.folder == Path("runs/supervised-2")
    assert list(continued.metrics.index) == [0, 1]
    of_first = fit(2, ckpt_path=first.folder / "checkpoints/last.ckpt")
    assert of_first.folder == Path("runs/supervised")


def test_automatic_checkpoints_start_leave_alone_and_continue(tmp_path):
    def fit(epochs):
        torch.manual_seed(0)
        student = resnet8(10, (1, 8, 8))
        folder = tmp_path / "auto"
        data = DigitsDataModule(**FEW)
        return kdlight.fit(Supervised(student), data, max_epochs=epochs, folder=folder, ckpt_path="auto", **QUICK)

    started = fit(1)
    written = (started.folder / "result.json").stat().st_mtime_ns
    assert fit(1).folder == started.folder == tmp_path / "auto"
    assert (started.folder / "result.json").stat().st_mtime_ns == written
    assert list(fit(2).metrics.index) == [0, 1]
    assert yaml.safe_load((started.folder / "config.yaml").read_text())["model"]["init_args"]["student"] == {
        "class_path": "kdlight.models.resnet8",
        "init_args": {"num_classes": 10, "image_shape": [1, 8, 8], "shortcut": "projection"},
    }


class Own(torch.nn.Module):
    """A network of a user."""

    def __init__(self, classes, width=4):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(1, width, 3), torch.nn.Flatten())
        self.head = torch.nn.Linear(36 * width, classes)

    def forward(self, images):
        return self.head(self.body(images))


def test_a_network_that_a_partial_builds_is_built_again_by_commands(tmp_path, capsys):
    student = Tapped(functools.partial(Own, 10, width=5), stages=["body.0"], image_shape=(1, 8, 8))
    run = kdlight.fit(Supervised(student), DigitsDataModule(**FEW), max_epochs=1, folder=tmp_path / "own", **QUICK)
    assert run.config["model"]["init_args"]["student"]["init_args"]["model"]["init_args"] == {"classes": 10, "width": 5}
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(run.student()(images), student.eval()(images))
    assert main(["predict", str(run.folder), "--output", str(tmp_path / "p.csv")]) == 0
    assert "360 images" in capsys.readouterr().out


def test_a_configuration_with_an_object_of_python_says_so(tmp_path, capsys):
    method = Supervised(Tapped(Own(10), stages=["body.0"], image_shape=(1, 8, 8)))
    run = kdlight.fit(method, DigitsDataModule(**FEW), max_epochs=1, folder=tmp_path / "own", **QUICK)
    assert main(["test", f"--config={run.folder}/config.yaml"]) == 2
    said = capsys.readouterr().err
    assert "model.init_args.student.init_args.model is 'object of tests.cli.test_from_python.Own', which was" in said


def test_a_network_that_cannot_be_described_is_given_back(tmp_path):
    def foreign():
        torch.manual_seed(1)
        body = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 10))
        return Tapped(body, stages=["0"], image_shape=(1, 8, 8))

    method = Supervised(foreign())
    run = kdlight.fit(method, DigitsDataModule(**FEW), max_epochs=1, folder=tmp_path / "foreign", **QUICK)
    with pytest.raises(UserError, match=r"run.student\(network=…\); commands can use runs whose student is a Tapped"):
        run.student()
    images = torch.rand(3, 1, 8, 8)
    last = kdlight.Run(run.folder / "checkpoints/last.ckpt")
    torch.testing.assert_close(last.student(foreign())(images), method.student.eval()(images))
    with pytest.raises(UserError, match="without a teacher"):
        run.teacher()


def test_a_configuration_runs_as_by_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = {"model.student": "kdlight.models.resnet8", "trainer.callbacks": None, **QUICK_CHANGES}
    run = kdlight.fit(DIGITS / "teacher.yaml", changes, seed=3, max_epochs=1)
    assert run.folder == Path("runs/digits/teacher")
    assert (run.result["seed"], run.result["epochs"]) == (3, 1)
    assert run.result["command"].startswith("kdlight fit --config=")
    again = ["fit", "--config", str(run.folder / "config.yaml"), "--trainer.default_root_dir=runs/again"]
    assert main(again) == 0
    expected = kdlight.Run("runs/again")
    assert expected.result["test"] == run.result["test"]
    assert [found.folder.name for found in kdlight.load_runs("runs")] == ["again", "teacher"]
    for place in ("runs/digits/*", "runs/digits", "runs/digits/teacher"):
        assert [found.folder.name for found in kdlight.load_runs(place)] == ["teacher"]
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


QUICK_CHANGES = {
    **{f"trainer.{name}": value for name, value in QUICK.items()},
    **{f"data.{name}": value for name, value in FEW.items()},
}


def test_a_run_outside_the_main_thread(tmp_path):
    runs = []

    def train():
        data = DigitsDataModule(**FEW)
        runs.append(kdlight.fit(Supervised(networks()[0]), data, max_epochs=1, folder=tmp_path / "run", **QUICK))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert runs
    assert runs[0].finished


def undescribed(described):
    raise UserError("cannot be described")


def test_wrong_arguments_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    method = Supervised(networks()[0])
    with pytest.raises(UserError, match="expected a data module after the method Supervised"):
        kdlight.fit(method, {"data": 1})
    with pytest.raises(UserError, match="fast_dev_run leaves no run"):
        kdlight.fit(method, DigitsDataModule(), fast_dev_run=True)
    with pytest.raises(UserError, match=r"did you mean .trainer.max_epochs."):
        kdlight.fit(DIGITS / "teacher.yaml", {"trainer.max_epoch": 1})
    with pytest.raises(UserError, match="class_path"):
        kdlight.fit(DIGITS / "teacher.yaml", {"model.optimizer": lambda parameters: None})
    monkeypatch.setattr(from_python, "_resolve", undescribed)
    with pytest.raises(UserError, match="cannot be described"):
        kdlight.fit(method, DigitsDataModule(**FEW), max_epochs=1)
    with pytest.raises(MissingFileError, match="found none"):
        kdlight.load_runs("runs/*")
    assert not list(tmp_path.iterdir())


def test_an_object_that_no_configuration_can_name_is_refused_before_it_is_called(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    called = tmp_path / "called"
    student = {"class_path": "pathlib.Path.touch", "init_args": {"self": str(called)}}
    (folder / "config.yaml").write_text(
        yaml.safe_dump({"model": {"init_args": {"student": student}}, "data": student, "trainer": {}})
    )
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/last.ckpt").write_bytes(b"")
    run = kdlight.Run(folder)
    for build in (run.student, lambda: run.data({})):
        with pytest.raises(UserError, match=r"pathlib.Path.touch"):
            build()
    assert not called.exists()


def test_importing_kdlight_imports_nothing_heavy():
    heavy = ("torch", "lightning", "torchvision", "numpy", "pandas", "jsonargparse", "matplotlib", "sklearn")
    program = f"import sys, kdlight; kdlight.__version__; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
