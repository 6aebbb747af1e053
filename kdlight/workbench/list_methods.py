"""``kdlight methods [METHOD]``: every method with its paper, what it distils and its arguments, read from the code."""

import argparse
import importlib
import inspect
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kdlight.cli.imports import nearest
from kdlight.errors import UserError
from kdlight.methods.base.distiller import Distiller
from kdlight.methods.base.feature_distiller import FeatureDistiller
from kdlight.methods.base.learner import Learner
from kdlight.methods.base.logit_distiller import LogitDistiller

PACKAGE = "kdlight.methods"
SHARED = (LogitDistiller, FeatureDistiller, Distiller, Learner)
CITATION = re.compile(r'([^":.]+), "([^"]+)"[^"]*?\b((?:19|20)\d\d)\b')
LINE_END = re.compile(r"(?<!\n)\n(?=[^\s-])")  # within a paragraph
MEANING = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


class Paper(NamedTuple):
    """What a method's file opens with."""

    authors: str
    title: str
    year: str


class Argument(NamedTuple):
    """An argument, its default as a configuration writes it, and what the docstring says."""

    name: str
    default: str
    meaning: str


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("kdlight methods", description=__doc__, allow_abbrev=False)
    parser.add_argument("method", nargs="?", help="show this one in full, named by its file or its class")
    wanted = parser.parse_args(arguments[1:]).method
    methods = shipped()
    if wanted is None:
        Console().print(overview(methods))
        return
    found = {key.lower(): method for stem, method in methods.items() for key in (stem, method.__name__)}
    if wanted.lower() not in found:
        hint = nearest(wanted.lower(), methods) or "; `kdlight methods` lists them"
        raise UserError(f"there is no method '{wanted}'{hint}")
    describe(found[wanted.lower()], Console())


def shipped() -> dict[str, type[Learner]]:
    """Every method by the name of its file, which is that of its configuration."""
    package = importlib.import_module(PACKAGE)
    public = [getattr(package, name) for name in dir(package)]
    methods = [made for made in public if inspect.isclass(made) and issubclass(made, Learner)]
    return {_stem(method): method for method in sorted(methods, key=_stem) if not inspect.isabstract(method)}


def overview(methods: dict[str, type[Learner]]) -> Table:
    """One row a method, without the arguments that all methods of its kind share."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption="kdlight methods METHOD shows all arguments of one")
    for heading in ("method", "year", "distils", "paper, arguments"):
        rows.add_column(heading, no_wrap=heading in ("method", "year"))
    for stem, method in methods.items():
        paper = paper_of(method)
        title = f"{paper.authors}: {paper.title}" if paper else (inspect.getdoc(method) or "").partition("\n")[0]
        own = [argument for owner, given in arguments_of(method) if owner not in SHARED for argument in given]
        shown = ", ".join(f"{argument.name}={argument.default}" for argument in own)
        distils = method.distils if issubclass(method, Distiller) else "–"
        rows.add_row(stem, paper.year if paper else "–", distils, f"{escape(title)}\n[dim]{escape(shown)}[/dim]")
    return rows


def describe(method: type[Learner], console: Console) -> None:
    """Print a method's paper, formula and arguments, inherited ones included."""
    for doc in (inspect.getdoc(importlib.import_module(method.__module__)), inspect.getdoc(method)):
        text = (doc or "").partition("\nArgs:")[0].strip()
        console.print(LINE_END.sub(" ", text), end="\n\n", markup=False, highlight=False)
    for owner, given in arguments_of(method):
        rows = Table(title=f"{owner.__name__}'s arguments", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("argument", "default", ""):
            rows.add_column(heading, no_wrap=heading == "argument")
        for argument in given:
            rows.add_row(argument.name, escape(argument.default), escape(argument.meaning))
        console.print(rows)


def paper_of(method: type[Learner]) -> Paper | None:
    """Authors, title and year of the first paper that a method's file names; None where it names none."""
    found = CITATION.search(" ".join((importlib.import_module(method.__module__).__doc__ or "").split()))
    return Paper(_short(found[1].strip()), found[2].rstrip(",?"), found[3]) if found else None


def arguments_of(method: type[Learner]) -> list[tuple[type[Learner], list[Argument]]]:
    """The arguments of a method by the class that takes them, the method's own first; networks are left out."""
    by_owner, seen = [], {"self", "student", "teacher"}
    for owner in method.__mro__:
        if not issubclass(owner, Learner) or "__init__" not in vars(owner):
            continue
        meanings = {name: " ".join(text.split()) for name, text in MEANING.findall(inspect.getdoc(owner) or "")}
        parameters = inspect.signature(owner.__init__).parameters.values()
        new = [given for given in parameters if given.name not in seen and given.kind is not given.VAR_KEYWORD]
        seen |= {given.name for given in new}
        arguments = [Argument(given.name, _written(given.default), meanings.get(given.name, "")) for given in new]
        by_owner.append((owner, arguments))
    return by_owner


def _written(default: Any) -> str:
    """A default as YAML has it."""
    if default is inspect.Parameter.empty:
        return "(required)"
    if callable(default):
        return "(see its text)"
    value = list(default) if isinstance(default, tuple) else default
    return str(yaml.safe_dump(value, default_flow_style=True)).partition("\n")[0]


def _short(authors: str) -> str:
    """The authors as a text cites them."""
    first, *others = authors.split(", ")
    return f"{first} et al." if len(others) > 1 else authors


def _stem(method: type[Learner]) -> str:
    return method.__module__.rpartition(".")[2]
