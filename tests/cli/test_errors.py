"""What a user reads when something is wrong: at most three lines with the place and the nearest right answer."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from kdlight.__main__ import main
from kdlight.cli.messages import report_errors
from kdlight.errors import UserError
from kdlight.files import replace_file

ROOT = Path(__file__).parents[2]
TEACHER = ["fit", "--config", str(ROOT / "configs/digits/teacher.yaml")]
CIFAR = ["fit", "--config", "cifar10/rid.yaml"]
RID = ["fit", "--config", str(ROOT / "configs/digits/rid.yaml")]
UNTRAINED = ["--model.untrained_teacher", "true", "--model.teacher_weights", "null"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kdlight"])


def build(name: str = "net", **kwargs: object) -> torch.nn.Module:
    """Hands its further arguments on where nobody can see to whom."""
    return MAKERS[name](**kwargs)


MAKERS = {"net": torch.nn.Linear}


def said(arguments, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) <= 3, captured.err
    assert lines[0].startswith("kdlight: ")
    assert not list(Path.cwd().glob("runs/**/*")), "nothing was run, so nothing may be left"
    return captured.err


@pytest.mark.parametrize(
    ("options", "place", "answer"),
    [
        (["--trainer.max_epoch", "3"], "trainer.max_epoch", "trainer.max_epochs"),
        (["--trainr.max_epochs", "3"], "trainr.max_epochs", "trainer.max_epochs"),
        (["--trainer.max_epochs", "-3"], "max_epochs", "greater than or equal to -1, got -3"),
        (["--model", "torch.nn.Linear"], "model", "expected an import path such as kdlight.methods.KD, got 'torch.nn"),
        (["--data", "torch.nn.Linear"], "data", "expected an import path such as kdlight.data.DigitsDataModule"),
        (["--model.optimizer.lr", "abc"], "model.optimizer.lr", "expected a number, got 'abc'"),
        (["--model.optimizer", "abc"], "model.optimizer", "expected an import path such as torch.optim.SGD"),
        (["--model.scheduler", "torch.optim.lr_scheduler.StepLR"], "model.scheduler", "StepLR needs step_size"),
        (["--trainer", "3"], "trainer", "expected single options"),
        (["--trainer.precision", "3"], "trainer.precision", "'bf16-mixed'"),
        (["--data.batch_size", "0"], "data.batch_size", "expected a whole number greater than or equal to 1, got '0'"),
        (["--data.label_noise", "2"], "data.label_noise", "expected a number less than or equal to 1, got '2'"),
        (["--trainer.max_epochs", "abc"], "trainer.max_epochs", "expected a whole number or null, got 'abc'"),
        (["--model.student.shortcutt", "padding"], "model.student", "did you mean 'shortcut'"),
        (["--model.student", "kdlight.models.resnet21"], "model.student", "did you mean 'resnet20'"),
        (["--model.student", "resnet21"], "model.student", "did you mean 'kdlight.models.resnet20'"),
        (["--model.student.num_classes", "abc"], "model.student.num_classes", "expected a whole number"),
        (
            [
                "--model.student",
                "{class_path: kdlight.models.Tapped, init_args: {model: {class_path: tests.cli.test_errors.build, "
                "init_args: {width: 3}}}}",
            ],
            "model.student.model",
            "dict_kwargs: {width: …}",
        ),
        (["--model.optimizer.lrr", "3"], "model.optimizer", "did you mean 'lr'"),
        (["--model", "kdlight.methods.RIDD"], "model", "did you mean 'RID'"),
        (["--model", "kdlight.methods.Distiller"], "kdlight.methods.Distiller is abstract", "implements loss_terms"),
        (["--data", "kdlight.data.Foo"], "data", "DigitsDataModule"),
        (["--data.val_siz", "3"], "data", "did you mean 'val_size'"),
        (["--ckpt_path", "last"], "runs/digits/teacher/checkpoints/last.ckpt", "leave --ckpt_path out"),
        (["--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt", "no checkpoint"),
        (["--config"], "--config", "expected a YAML file"),
        (["--config", "nowhere.yaml"], "nowhere.yaml", "does not exist"),
        (["--model.student_weights", "nowhere.pt"], "nowhere.pt", "no file"),
        (["--data.val_size", "5000"], "val_size", "1437"),
        (["--data.mean", "abc"], "data.mean: expected a list", "got 'abc'"),
        (["--train_teacher=yes"], "train_teacher", "expected nothing after this option, got 'yes'"),
        (["--trainer.max_time", "1 hour"], "trainer.max_time", "as DD:HH:MM:SS, got '1 hour'"),
    ],
)
def test_wrong_options(options, place, answer, capsys):
    message = said([*TEACHER, *options], capsys)
    assert place in message
    assert answer in message


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        ("samples=abc", "trainer.callbacks.samples: expected a valid integer, got 'abc'"),
        ("samples=3", "trainer.callbacks.samples: expected a whole number greater than or equal to 8, got '3'"),
        ("tolerance=.nan", "trainer.callbacks.tolerance: expected a valid number, got '.nan'"),
        ("stages=stage3", "trainer.callbacks.stages: expected a list"),
        (
            "sample=3",
            "trainer.callbacks: kdlight.callbacks.PIDMonitor has no argument 'sample'; did you mean 'samples'",
        ),
    ],
)
def test_wrong_options_of_a_callback_are_not_those_of_its_base(option, answer, capsys):
    monitor = ["--trainer.callbacks=null", "--trainer.callbacks+=kdlight.callbacks.PIDMonitor"]
    assert answer in said([*RID, *UNTRAINED, *monitor, f"--trainer.callbacks.{option}"], capsys)


@pytest.mark.parametrize(
    ("options", "place", "answer"),
    [
        ([*UNTRAINED, "--model.filter_ratio", "0"], "model.filter_ratio", "a number greater than 0, got '0'"),
        ([*UNTRAINED, "--model.temperature", ".nan"], "model.temperature", "got '.nan'"),
        (
            [*UNTRAINED, "--model.lambda1", "0", "--model.lambda2", "0"],
            "RID learns nothing",
            "expected one or more of lambda2, ce_weight, kd_weight above 0",
        ),
        ([*UNTRAINED, "--model.stages", "[5]"], "stages between -3 and 2", "[5]"),
        (["--model.teacher_weights="], "no checkpoint at ''", "name an existing file with the teacher's weights"),
        (["--model.teacher_weights", "null"], "teacher_weights", "untrained_teacher"),
        ([*UNTRAINED, "--model.kd_weight", "1", "--model.teacher.num_classes", "7"], "classes (10), got 7", "features"),
    ],
)
def test_wrong_teachers(options, place, answer, capsys):
    message = said([*RID, *options], capsys)
    assert place in message
    assert answer in message


def test_a_teacher_that_takes_long_is_not_trained_unasked(capsys):
    message = said(CIFAR, capsys)
    assert "no checkpoint at runs/cifar10/teacher/checkpoints/last.ckpt" in message
    assert "make it: kdlight fit --config configs/cifar10/teacher.yaml, or add --train_teacher" in message


def test_keys_of_a_file(tmp_path, capsys):
    for text, answer in (
        ("modle: {}", "did you mean 'model'"),
        ("model: [{class_path: kdlight.methods.KD}]", "expected 'model' to be a mapping, got a list"),
        ("trainer: {max_epoch: 3}", "did you mean 'trainer.max_epochs'"),
        ("model: {init_args: {optimzer: {class_path: torch.optim.SGD}}}", "did you mean 'optimizer'"),
    ):
        (tmp_path / "extra.yaml").write_text(text)
        assert answer in said([*TEACHER, "--config", str(tmp_path / "extra.yaml")], capsys)


def test_nothing_given(capsys):
    assert "--config" in said(["fit"], capsys)


def test_an_untrained_student_is_not_measured(capsys):
    assert "--ckpt_path" in said(["test", *TEACHER[1:]], capsys)


def test_unknown_command(capsys):
    assert "did you mean 'fit'" in said(["fti"], capsys)


def test_a_run_that_ends_before_the_student_learns(capsys):
    for name in ("rid", "ted"):
        file = str(ROOT / f"configs/digits/{name}.yaml")
        options = [*UNTRAINED, "--trainer.max_epochs", "2", "--trainer.enable_progress_bar", "false"]
        assert "raise trainer.max_epochs, or shorten model." in said(["fit", "--config", file, *options], capsys)


OWN_METHOD = """
from kdlight.methods import Distiller

class Mine(Distiller):
    def loss_terms(self, student, teacher, batch):
        first, second = (student, teacher, batch)
"""


@pytest.mark.parametrize(
    ("debug", "environment"), [([], "0"), (["--debug"], "0"), ([], "1")], ids=["plain", "--debug", "KDLIGHT_DEBUG"]
)
def test_a_bug_shows_its_traceback_and_a_mistake_only_on_request(debug, environment, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KDLIGHT_DEBUG", environment)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_method.py").write_text(OWN_METHOD)
    (tmp_path / "own.yaml").write_text("model: {class_path: own_method.Mine}")
    files = [f"--config={file}" for file in (ROOT / "configs/data/digits.yaml", ROOT / "configs/digits/pair.yaml")]
    own = [
        "fit",
        *files,
        "--config=own.yaml",
        *UNTRAINED,
        "--trainer.max_epochs=1",
        "--trainer.enable_progress_bar=false",
        *debug,
    ]
    with pytest.raises(ValueError, match="too many values to unpack"):
        main(own)
    mistaken = ["compare", "nowhere", *debug]
    if debug or environment == "1":
        with pytest.raises(UserError, match="nowhere"):
            main(mistaken)
    else:
        assert main(mistaken) == 2
        assert "nowhere" in capsys.readouterr().err


def test_an_error_while_a_mistake_is_handled_is_not_taken_for_it():
    def fail():
        try:
            raise UserError("given 3, expected 4")
        except UserError:
            return [][0]

    with pytest.raises(IndexError), report_errors():
        fail()


@pytest.mark.parametrize(
    ("arrays", "options", "answer"),
    [
        ((299, 299, 299), [], "300 x 300 x 300 = 27,000,000"),
        ((2**40, 2, 2), [], "at most 1,000,000 cells"),
        ((2, 2, 2), ["--seed=-1"], "--seed: expected a whole number from 0 to 4294967295"),
        ((2, 2, 2), ["--json=."], ". is a folder"),
    ],
)
def test_what_a_decomposition_of_arrays_cannot_do(arrays, options, answer, capsys):
    for name, largest in zip(("first", "second", "target"), arrays, strict=True):
        np.save(f"{name}.npy", np.array([0, 1, largest] * 10))
    assert main(["pid", *(f"--{name}={name}.npy" for name in ("first", "second", "target")), *options]) == 2
    assert answer in capsys.readouterr().err


def test_a_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="a pipe or a device"), replace_file(tmp_path / "pipe") as draft:
        draft.write_text("x")
    assert (tmp_path / "pipe").is_fifo()


def test_one_number_a_sample_is_a_feature(capsys):
    labels = np.arange(100) % 2
    np.save("first.npy", labels + np.linspace(0, 0.1, 100))
    np.save("target.npy", labels)
    assert main(["pid", "--first=first.npy", "--second=first.npy", "--target=target.npy"]) == 0
