"""Every shipped method, built from its configuration, on a few digits."""

import importlib
import inspect
from pathlib import Path

import lightning.pytorch
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

import kdlight.methods
from kdlight.data.digits import DigitsDataModule
from kdlight.methods.base.distiller import Distiller
from kdlight.methods.base.learner import Learner
from kdlight.models.zoo.resnet import resnet8

ROOT = Path(__file__).parents[2]
# By the end of an argument's name: the value with which three epochs see every phase of a method. A cycle has two.
SHORT = {"cycle_epochs": 2, "_epochs": 1, "_ratio": 0.5}


def shipped() -> list[type[Learner]]:
    """The concrete methods of the package, found in its folder."""
    found = (getattr(kdlight.methods, name) for name in dir(kdlight.methods))
    return [
        made for made in found if inspect.isclass(made) and issubclass(made, Learner) and not inspect.isabstract(made)
    ]


def parameters(method: type[Learner]) -> dict[str, inspect.Parameter]:
    """The arguments of a method by name: its own, and those of its base classes that it passes on."""
    constructors = [vars(kind)["__init__"] for kind in reversed(method.__mro__) if "__init__" in vars(kind)]
    known = {name: p for made in constructors for name, p in inspect.signature(made).parameters.items()}
    return {name: known[name] for name in ArgumentParser().add_class_arguments(method)}


def short_phases(method: type[Learner]) -> dict:
    """The arguments that make every phase of a method as short as `SHORT` says."""
    endings = {name: [end for end in SHORT if name.endswith(end)] for name in parameters(method)}
    return {name: SHORT[found[0]] for name, found in endings.items() if found}


def arguments(method: type[Learner]) -> dict:
    """What configs/methods says beside the class, with short phases."""
    stem = importlib.import_module(method.__module__).__name__.rpartition(".")[2]
    configured = yaml.safe_load((ROOT / f"configs/methods/{stem}.yaml").read_text())["model"]
    return {**configured.get("init_args", {}), **short_phases(method)}


def build(method: type[Learner], **overrides) -> Learner:
    """The method with a ResNet-8 for student and an untrained ResNet-8 for teacher, always the same."""
    torch.manual_seed(0)
    shape = DigitsDataModule.image_shape
    networks = {"student": resnet8(10, shape)}
    if issubclass(method, Distiller):
        networks |= {"teacher": resnet8(10, shape), "untrained_teacher": True}
    return method(**networks, **{**arguments(method), **overrides})


def digits(**options) -> DigitsDataModule:
    """Twenty images a class: four batches an epoch."""
    return DigitsDataModule(train_per_class=20, batch_size=50, **options)


def trainer(folder: Path, epochs: int, **options) -> lightning.pytorch.Trainer:
    """A quiet trainer on the CPU."""
    defaults = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "default_root_dir": folder,
        "max_epochs": epochs,
    }
    return lightning.pytorch.Trainer(**{**defaults, **options})


@pytest.fixture(params=shipped(), ids=lambda method: method.__name__)
def method(request):
    return request.param
