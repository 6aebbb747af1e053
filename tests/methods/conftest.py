"""Every shipped method, built from its configuration, on a few digits."""

import importlib
import inspect
from pathlib import Path

import lightning.pytorch
import pytest
import torch
import yaml

import kdlight.methods
from kdlight.data.digits import DigitsDataModule
from kdlight.methods.base.distiller import Distiller
from kdlight.methods.base.learner import Learner
from kdlight.models.zoo.resnet import resnet8

ROOT = Path(__file__).parents[2]
# Phases short enough that three epochs see each of them.
SHORT = {
    "RID": {"warmup_epochs": 1, "cycle_epochs": 2, "filter_ratio": 0.5},
    "TED": {"filter_epochs": 1},
    "FT": {"paraphraser_epochs": 1},
    "AB": {"init_epochs": 1},
    "FSP": {"init_epochs": 1},
}


def shipped() -> list[type[Learner]]:
    """The concrete methods of the package, found in its folder."""
    found = (getattr(kdlight.methods, name) for name in dir(kdlight.methods))
    return [
        made for made in found if inspect.isclass(made) and issubclass(made, Learner) and not inspect.isabstract(made)
    ]


def arguments(method: type[Learner]) -> dict:
    """What configs/methods says beside the class."""
    stem = importlib.import_module(method.__module__).__name__.rpartition(".")[2]
    configured = yaml.safe_load((ROOT / f"configs/methods/{stem}.yaml").read_text())["model"]
    return {**configured.get("init_args", {}), **SHORT.get(method.__name__, {})}


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
