"""``kdlight data [MODULE]``: list the data modules with their own arguments, and say which can download their data."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import kdlight
from kdlight.cli.imports import suggest
from kdlight.errors import UserError
from kdlight.lazy import find_public_names
from kdlight.workbench.command_parser import CommandParser
from kdlight.workbench.source_classes import (
    Argument,
    SourceClass,
    describe,
    format_arguments,
    list_arguments,
    read_classes,
)

FOLDER = Path(kdlight.__file__).parent / "data"
ROOT = "ImageDataModule"
ENDING = "DataModule"


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        UserError: If there is no data module of this name.
    """
    wanted = make_parser().parse_args(arguments[1:]).module
    modules, console = list_data_modules(), Console()
    if wanted is None:
        console.print(build_overview(modules))
        hint = "in a configuration: data: {class_path: kdlight.data.NAME, init_args: {…}}"
        console.print(hint, markup=False, highlight=False)
        return
    short = {name.removesuffix(ENDING).lower(): data for name, data in modules.items()}
    found = short | {name.lower(): data for name, data in modules.items()}
    if wanted.lower() not in found:
        hint = suggest(wanted.lower(), short) or "; `kdlight data` lists them"
        raise UserError(f"there is no data module '{wanted}'{hint}")
    describe(found[wanted.lower()], console)


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser("kdlight data", description=__doc__)
    parser.add_argument(
        "module", nargs="?", help=f"the data module to show with all arguments; its name may leave out {ENDING}"
    )
    return parser


def list_data_modules() -> dict[str, SourceClass]:
    """Return every data module of `kdlight.data` that is no base class, by name."""
    found = read_classes(FOLDER)
    public = find_public_names("kdlight.data", FOLDER)
    names = sorted(name for name, module in public.items() if "." not in module and name in found)
    return {name: found[name] for name in names if found[name].derives_from(ROOT)}


def build_overview(modules: dict[str, SourceClass]) -> Table:
    """Build a table with a row per data module; arguments that are inherited from base classes are left out."""
    rows = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, caption="kdlight data MODULE shows all arguments of a data module"
    )
    for heading in ("data module", "download", "what it is, arguments"):
        rows.add_column(heading, no_wrap=heading != "what it is, arguments")
    for name, data in modules.items():
        own = list_own_arguments(data)
        text = f"{escape(data.summary)}\n[dim]{escape(format_arguments(own))}[/dim]"
        rows.add_row(name, "yes" if can_download(own) else "no", text)
    return rows


def list_own_arguments(data: SourceClass) -> list[Argument]:
    """Return the arguments of a data module's own constructor."""
    return list_arguments(data)[0][1]


def can_download(own: Sequence[Argument]) -> bool:
    """Return whether ``download: true`` downloads the data.

    Every data module that can download has an argument ``mirrors``. An argument ``download`` is no proof: ImageNet has
    one, too, but its ``download: true`` only says where to get the data.
    """
    return any(argument.name == "mirrors" for argument in own)
