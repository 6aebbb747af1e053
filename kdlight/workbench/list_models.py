"""``kdlight models``: list kdlight's networks with their parameters, operations, stages and published weights."""

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from kdlight.models.classifier import Classifier
from kdlight.models.published import PREFIX, WEIGHTS
from kdlight.workbench.command_parser import CommandParser
from kdlight.workbench.costs import count_operations, count_parameters

PACKAGE = "kdlight.models"
SHAPE, CLASSES = (3, 32, 32), 100
FOREIGN = """Networks of torchvision by name: {class_path: kdlight.models.Torchvision, init_args: {name: resnet18}}.
Networks of timm: kdlight.models.Timm (timm.list_models() returns the names).
For networks of torchvision and timm, pretrained: true loads trained weights.
Published weights: --model.teacher_weights published:cifar100/resnet56 downloads them once into data/weights."""


class Network(NamedTuple):
    """A row of the table of networks.

    Attributes:
        name: Name in `kdlight.models`.
        parameters: Number of parameters.
        operations: Floating point operations for one image.
        stages: (channels, height, width) of each stage's output for one image.
        published: Names of the network's published weights.
    """

    name: str
    parameters: int
    operations: int
    stages: tuple[tuple[int, ...], ...]
    published: tuple[str, ...]


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    make_parser().parse_args(arguments[1:])
    rows = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=f"{CLASSES} classes, images of 3x32x32", title_justify="left"
    )
    for heading in ("network", "parameters", "operations", "stages", "published weights"):
        rows.add_column(heading, justify="right" if heading in ("parameters", "operations") else "left")
    for network in list_networks():
        stages = " ".join("x".join(map(str, shape)) for shape in network.stages)
        counts = f"{network.parameters / 1e6:.2f} M", f"{network.operations / 1e6:.0f} M"
        rows.add_row(network.name, *counts, stages, " ".join(network.published))
    console = Console()
    console.print(rows)
    console.print(FOREIGN, markup=False, highlight=False)


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    return CommandParser("kdlight models", description=__doc__)


def list_networks() -> list[Network]:
    """Return a row for every network of `kdlight.models` that can be built from a number of classes alone.

    The networks are built on the "meta" device, so their weights take no memory.
    """
    package = importlib.import_module(PACKAGE)
    found = []
    for name in dir(package):
        made = getattr(package, name)
        if _builds_a_network(made):
            found.append(_measure_network(name, made))
    return found


def _builds_a_network(made: Any) -> bool:
    if not callable(made) or inspect.isabstract(made):
        return False
    parameters = list(inspect.signature(made).parameters.values())
    is_network = (
        issubclass(made, Classifier)
        if inspect.isclass(made)
        else inspect.signature(made, eval_str=True).return_annotation in _list_classes()
    )
    named = [given.name for given in parameters[:2]] == ["num_classes", "image_shape"]
    return is_network and named and all(given.default is not given.empty for given in parameters[1:])


def _list_classes() -> set[Any]:
    """Return the classes in `kdlight.models`; a function that builds a network has one of them as its return type."""
    package = importlib.import_module(PACKAGE)
    return {made for made in (getattr(package, name) for name in dir(package)) if inspect.isclass(made)}


def _measure_network(name: str, make: Callable[..., Classifier]) -> Network:
    with torch.device("meta"):
        model = make(CLASSES, SHAPE).eval()
        with torch.no_grad():
            stages = model.activations(torch.zeros(1, *SHAPE)).stages
        operations = count_operations(model, SHAPE)
    weights = tuple(f"{PREFIX}{key}" for key, entry in WEIGHTS.items() if entry.network.partition(",")[0] == name)
    shapes = tuple(tuple(stage.shape[1:]) for stage in stages)
    return Network(name, count_parameters(model), operations, shapes, weights)
