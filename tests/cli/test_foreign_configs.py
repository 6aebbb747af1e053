"""A configuration of others names classes; none is called before it is known to be of the kind that its place takes."""

import sys

import pytest
import torch
import yaml

from kdlight.__main__ import main
from kdlight.errors import UserError
from kdlight.models.zoo.resnet import resnet8
from kdlight.workbench.finished_runs import Run

NETWORK = {"class_path": "kdlight.models.resnet8", "init_args": {"num_classes": 10, "image_shape": [1, 8, 8]}}
METHOD = {"student": NETWORK, "teacher": NETWORK, "untrained_teacher": True}
called = []


class Trap:
    """Stands for anything with consequences, such as `subprocess.Popen`."""

    def __init__(self, args: list[str] | None = None):
        called.append(args)


class NetworkTrap(Trap, torch.nn.Module):
    """Consequences behind the face of a network."""

    def __init__(self, args: list[str] | None = None):
        torch.nn.Module.__init__(self)
        Trap.__init__(self, args)


def described(kind):
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": {"args": ["touch", "file"]}}


TRAP = described(Trap)


def ensemble(*members):
    return {"class_path": "kdlight.models.Ensemble", "init_args": {"members": list(members)}}


def tapped(network):
    shape = {"image_shape": [1, 8, 8], "stages": ["stage"], "embedding": "stage", "head": "head"}
    return {"class_path": "kdlight.models.Tapped", "init_args": {"model": network, **shape}}


PLACES = {
    "model": {"model": TRAP},
    "student": {"model.init_args.student": TRAP},
    "teacher": {"model.init_args.teacher": TRAP},
    "argument of a network": {"model.init_args.student.init_args.num_classes": TRAP},
    "network inside": {"model.init_args.student": tapped(TRAP)},
    "member": {"model.init_args.student": ensemble(NETWORK, TRAP)},
    "dict_kwargs": {"model.init_args.student": {**NETWORK, "dict_kwargs": {"norm": TRAP}}},
    "optimizer": {"model.init_args.optimizer": TRAP},
    "data": {"data": TRAP},
    "argument of data": {"data.init_args.seed": TRAP},
    "callback": {"trainer.callbacks": [TRAP]},
    "argument of a callback": {
        "trainer.callbacks": [{"class_path": "kdlight.callbacks.PIDMonitor", "init_args": {"teacher": TRAP}}]
    },
    "logger": {"trainer.logger": TRAP},
    "plugin": {"trainer.plugins": [TRAP]},
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a run's folder whose configuration has other values in some places."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kdlight"])
    called.clear()
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    weights = {f"student.{name}": value for name, value in resnet8(10, (1, 8, 8)).state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "run/checkpoints/last.ckpt")

    def written(changes):
        config = {
            "trainer": {"max_epochs": 0, "callbacks": None, "enable_progress_bar": False},
            "model": {"class_path": "kdlight.methods.KD", "init_args": dict(METHOD)},
            "data": {"class_path": "kdlight.data.DigitsDataModule", "init_args": {"train_per_class": 5}},
        }
        config = yaml.safe_load(yaml.safe_dump(config))
        for place, value in changes.items():
            *parents, last = place.split(".")
            inner = config
            for parent in parents:
                inner = inner[parent]
            inner[last] = value
        (tmp_path / "run/config.yaml").write_text(yaml.safe_dump(config))
        return tmp_path / "run"

    return written


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_called_that_is_of_another_kind(place, write, capsys):
    run = write(PLACES[place])
    for command in (["fit", "--config=run/config.yaml", "--print_config"], ["fit", "--config=run/config.yaml"]):
        assert main(command) in (0, 2)
    assert main(
        ["pid", "--student=run", "--teacher=run", "--symbols=predictions", "--samples=8", "--fit_samples=8"]
    ) in (0, 2)
    assert main(["compare", "run"]) in (0, 2)
    if place.startswith(("student", "member", "network", "dict")):
        with pytest.raises(UserError):
            Run(run).student()
    assert not called
    assert "Traceback" not in capsys.readouterr().err


def test_a_network_of_others_is_code_that_runs(write):
    run = write({"model.init_args.student": tapped(described(NetworkTrap))})
    assert not called
    with pytest.raises(Exception):  # noqa: B017  what becomes of a network without parts is not the question
        Run(run).student()
    assert called, "the traps of the test above would not have been seen"


@pytest.mark.parametrize("text", ["[]", "", "trainer: 3", "a: [1", "model: {}\ntrainer: {}\ndata: {}"])
def test_a_broken_configuration_of_a_run_is_named(text, write, capsys):
    (write({}) / "config.yaml").write_text(text)
    assert main(["pid", "--student=run"]) == 2
    error = capsys.readouterr().err
    assert "run/config.yaml" in error
    assert len(error.splitlines()) == 1
