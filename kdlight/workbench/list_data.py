"""``kdlight data``: list the data modules with their own arguments, and say which modules can download their data."""

import importlib
import inspect
from collections.abc import Sequence
from typing import NamedTuple

import yaml
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kdlight.data.base.image_module import ImageDataModule
from kdlight.workbench.command_parser import CommandParser

PACKAGE = "kdlight.data"


class Data(NamedTuple):
    """A row of the table of data modules.

    Attributes:
        name: The data module's name in `kdlight.data`.
        summary: The first line of its docstring.
        fetched: Whether `download: true` downloads the data.
        arguments: The constructor's own arguments with their defaults, as they are written in a configuration.
            Arguments that it passes on to its base classes are left out.
    """

    name: str
    summary: str
    fetched: bool
    arguments: str


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    make_parser().parse_args(arguments[1:])
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("data module", "download", "what it is, arguments"):
        rows.add_column(heading, no_wrap=heading != "what it is, arguments")
    for data in list_data_modules():
        text = f"{escape(data.summary)}\n[dim]{escape(data.arguments)}[/dim]"
        rows.add_row(data.name, "yes" if data.fetched else "no", text)
    console = Console()
    console.print(rows)
    console.print(
        "in a configuration: data: {class_path: kdlight.data.NAME, init_args: {…}}", markup=False, highlight=False
    )


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    return CommandParser("kdlight data", description=__doc__)


def list_data_modules() -> list[Data]:
    """Return every data module of `kdlight.data` that is not abstract."""
    package = importlib.import_module(PACKAGE)
    found = []
    for name in dir(package):
        made = getattr(package, name)
        if not (inspect.isclass(made) and issubclass(made, ImageDataModule)) or inspect.isabstract(made):
            continue
        parameters = inspect.signature(made).parameters
        own = [given for given in parameters.values() if given.kind is not given.VAR_KEYWORD]
        shown = ", ".join(f"{given.name}={_format_default(given)}" for given in own)
        # Every data module that can download has an argument `mirrors`. An argument `download` is no proof: ImageNet
        # has one, too, but its `download: true` only says where to get the data.
        fetched = "mirrors" in parameters
        found.append(Data(name, (inspect.getdoc(made) or "").partition("\n")[0], fetched, shown))
    return found


def _format_default(given: inspect.Parameter) -> str:
    if given.default is given.empty:
        return "(required)"
    value = list(given.default) if isinstance(given.default, tuple) else given.default
    return str(yaml.safe_dump(value, default_flow_style=True)).partition("\n")[0]
