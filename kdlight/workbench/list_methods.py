"""``kdlight methods [METHOD]``: list every method with its paper, its arguments, and what it distils."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

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

FOLDER = Path(kdlight.__file__).parent / "methods"
ROOT = "Learner"
SHARED = ("LogitDistiller", "FeatureDistiller", "Distiller", ROOT)
CITATION = re.compile(r'([^":.]+), "([^"]+)"[^"]*?\b((?:19|20)\d\d)\b')


class Paper(NamedTuple):
    """The first paper that is cited in the file of a method."""

    authors: str
    title: str
    year: str


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        UserError: If there is no method of this name.
    """
    wanted = make_parser().parse_args(arguments[1:]).method
    methods = list_methods()
    if wanted is None:
        Console().print(build_overview(methods))
        return
    found = {key.lower(): method for stem, method in methods.items() for key in (stem, method.name)}
    if wanted.lower() not in found:
        hint = suggest(wanted.lower(), methods) or "; `kdlight methods` lists them"
        raise UserError(f"there is no method '{wanted}'{hint}")
    describe(found[wanted.lower()], Console())


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser("kdlight methods", description=__doc__)
    parser.add_argument("method", nargs="?", help="the method to show in full: the name of its file, or of its class")
    return parser


def list_methods() -> dict[str, SourceClass]:
    """Return every method by the name of its file without ".py". Its configuration has the same name."""
    found = read_classes(FOLDER)
    names = find_public_names("kdlight.methods", FOLDER)
    methods = [found[name] for name, module in names.items() if "." not in module and name in found]
    return {
        method.stem: method for method in sorted(methods, key=lambda method: method.stem) if method.derives_from(ROOT)
    }


def find_what_it_distils(method: SourceClass) -> str:
    """Return what the method compares: the value of its class attribute ``distils``, which may be inherited."""
    for owner in (method, *method.bases):
        for line in owner.node.body:
            if isinstance(line, ast.AnnAssign | ast.Assign) and line.value is not None:
                targets = [line.target] if isinstance(line, ast.AnnAssign) else line.targets
                if any(isinstance(target, ast.Name) and target.id == "distils" for target in targets):
                    return str(ast.literal_eval(line.value))
    return "–"


def build_overview(methods: dict[str, SourceClass]) -> Table:
    """Build a table with a row per method; arguments that are inherited from classes of `SHARED` are left out."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption="kdlight methods METHOD shows all arguments of a method")
    for heading in ("method", "year", "distils", "paper, arguments"):
        rows.add_column(heading, no_wrap=heading in ("method", "year"))
    for stem, method in methods.items():
        paper = find_paper(method)
        title = f"{paper.authors}: {paper.title}" if paper else method.summary
        shown = format_arguments(list_own_arguments(method))
        text = f"{escape(title)}\n[dim]{escape(shown)}[/dim]"
        rows.add_row(stem, paper.year if paper else "–", find_what_it_distils(method), text)
    return rows


def list_own_arguments(method: SourceClass) -> list[Argument]:
    """Return a method's arguments without those that it inherits from the classes of `SHARED`."""
    return [argument for owner, given in list_arguments(method) if owner.name not in SHARED for argument in given]


def find_paper(method: SourceClass) -> Paper | None:
    """Return authors, title and year of the first paper that a method's file cites; None if it cites no paper."""
    found = CITATION.search(" ".join(method.opening.split()))
    return Paper(_shorten(found[1].strip()), found[2].rstrip(",?"), found[3]) if found else None


def _shorten(authors: str) -> str:
    """Shorten a list of more than two authors to the first and "et al."."""
    first, *others = authors.split(", ")
    return f"{first} et al." if len(others) > 1 else authors
