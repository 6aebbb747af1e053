"""Read classes, their docstrings and the arguments of their constructors from source files.

The files are parsed and not imported, because importing torch and Lightning would take seconds.
"""

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

LINE_END = re.compile(r"(?<!\n)\n(?=[^\s-])")  # the end of a line within a paragraph
UNSHOWN = ("self", "student", "teacher")
MEANING = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


class Argument(NamedTuple):
    """An argument, its default as it is written in a configuration, and its description in the docstring."""

    name: str
    default: str
    meaning: str


class SourceClass(NamedTuple):
    """A class, as parsed from its file.

    Attributes:
        name: The name of the class.
        stem: The name of the class's file without ".py".
        text: The docstring of the class.
        opening: The docstring of the file.
        node: The syntax tree of the class.
        constants: The values that are assigned to names at the file's top level.
        bases: The classes of the same folder from which this class derives, the nearest first.
    """

    name: str
    stem: str
    text: str
    opening: str
    node: ast.ClassDef
    constants: dict[str, ast.expr]
    bases: tuple["SourceClass", ...]

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.text.partition("\n")[0]

    def derives_from(self, name: str) -> bool:
        """Return whether one of the bases has this name."""
        return name in (base.name for base in self.bases)


def read_classes(folder: Path) -> dict[str, SourceClass]:
    """Parse every class in a folder and in its subfolders, and return the classes by name."""
    nodes, files = {}, {}
    for file in sorted(folder.rglob("[!_]*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        constants: dict[str, ast.expr] = {}
        for line in tree.body:
            if isinstance(line, ast.Assign):
                constants |= {target.id: line.value for target in line.targets if isinstance(target, ast.Name)}
            elif isinstance(line, ast.ClassDef):
                nodes[line.name] = line
                files[line.name] = (file.stem, ast.get_docstring(tree) or "", constants)
    found: dict[str, SourceClass] = {}

    def read(name: str) -> SourceClass:
        if name not in found:
            node, (stem, opening, constants) = nodes[name], files[name]
            direct = [read(base.id) for base in node.bases if isinstance(base, ast.Name) and base.id in nodes]
            every = {above.name: above for base in direct for above in (base, *base.bases)}
            text = ast.get_docstring(node) or ""
            found[name] = SourceClass(name, stem, text, opening, node, constants, tuple(every.values()))
        return found[name]

    return {name: read(name) for name in nodes}


def list_arguments(made: SourceClass) -> list[tuple[SourceClass, list[Argument]]]:
    """Return the arguments of a class without `UNSHOWN`, grouped by the class whose constructor takes them.

    The class itself comes first. The arguments of a base are included if all constructors before it take ``**options``.
    """
    by_owner, seen = [], set(UNSHOWN)
    for owner in (made, *made.bases):
        constructor = next((line for line in owner.node.body if getattr(line, "name", "") == "__init__"), None)
        if not isinstance(constructor, ast.FunctionDef):
            continue
        given = constructor.args
        meanings = {name: " ".join(text.split()) for name, text in MEANING.findall(owner.text)}
        positional = [*given.posonlyargs, *given.args]
        without = [None] * (len(positional) - len(given.defaults))
        defaults = [*without, *given.defaults, *given.kw_defaults]
        named = zip([each.arg for each in (*positional, *given.kwonlyargs)], defaults, strict=True)
        new = [(name, default) for name, default in named if name not in seen]
        seen |= {name for name, _ in new}
        arguments = [Argument(name, _format_default(default, owner), meanings.get(name, "")) for name, default in new]
        by_owner.append((owner, arguments))
        if given.kwarg is None:
            break
    return by_owner


def format_arguments(arguments: Iterable[Argument]) -> str:
    """Write arguments with their defaults in one line."""
    return ", ".join(f"{argument.name}={argument.default}" for argument in arguments)


def describe(made: SourceClass, console: Console) -> None:
    """Print the docstrings of a class and of its file, and the arguments, including the inherited arguments."""
    for doc in (made.opening, made.text):
        text = doc.partition("\nArgs:")[0].strip()
        console.print(LINE_END.sub(" ", text), end="\n\n", markup=False, highlight=False)
    for owner, given in list_arguments(made):
        rows = Table(title=f"{owner.name}'s arguments", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("argument", "default", ""):
            rows.add_column(heading, no_wrap=heading == "argument")
        for argument in given:
            rows.add_row(argument.name, escape(argument.default), escape(argument.meaning))
        console.print(rows)


def _format_default(default: ast.expr | None, owner: SourceClass) -> str:
    """Return a default as it is written in YAML."""
    if default is None:
        return "(required)"
    if isinstance(default, ast.Name):
        default = owner.constants.get(default.id, default)
    try:
        value: Any = ast.literal_eval(default)
    except ValueError:
        return (
            "(see its description)" if isinstance(default, ast.Lambda | ast.Name | ast.Call) else ast.unparse(default)
        )
    value = list(value) if isinstance(value, tuple) else value
    return str(yaml.safe_dump(value, default_flow_style=True)).partition("\n")[0]
