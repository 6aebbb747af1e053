"""``kdlight methods [METHOD]``: list every method with its paper, its arguments, and what it distils.

The methods' files are parsed and not imported, because importing torch and Lightning would take seconds.
"""

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import kdlight
from kdlight.cli.imports import suggest
from kdlight.errors import UserError
from kdlight.lazy import find_public_names
from kdlight.workbench.command_parser import CommandParser

FOLDER = Path(kdlight.__file__).parent / "methods"
ROOT = "Learner"
SHARED = ("LogitDistiller", "FeatureDistiller", "Distiller", ROOT)
UNSHOWN = ("self", "student", "teacher")
CITATION = re.compile(r'([^":.]+), "([^"]+)"[^"]*?\b((?:19|20)\d\d)\b')
LINE_END = re.compile(r"(?<!\n)\n(?=[^\s-])")  # the end of a line within a paragraph
MEANING = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


class Paper(NamedTuple):
    """The first paper that is cited in the file of a method."""

    authors: str
    title: str
    year: str


class Argument(NamedTuple):
    """An argument, its default as it is written in a configuration, and its description in the docstring."""

    name: str
    default: str
    meaning: str


class Method(NamedTuple):
    """A class of the methods' folder, as parsed from its file.

    Attributes:
        name: The name of the class.
        stem: The name of the class's file without ".py". The method's configuration has the same name.
        text: The docstring of the class.
        opening: The docstring of the file.
        node: The syntax tree of the class.
        constants: The values that are assigned to names at the file's top level.
        bases: The classes of the methods' folder from which this class derives. The nearest comes first, `ROOT` last.
    """

    name: str
    stem: str
    text: str
    opening: str
    node: ast.ClassDef
    constants: dict[str, ast.expr]
    bases: tuple["Method", ...]

    @property
    def distils(self) -> str:
        """What the method compares: the value of its class attribute ``distils``, which may be inherited."""
        for owner in (self, *self.bases):
            for line in owner.node.body:
                if isinstance(line, ast.AnnAssign | ast.Assign) and line.value is not None:
                    targets = [line.target] if isinstance(line, ast.AnnAssign) else line.targets
                    if any(isinstance(target, ast.Name) and target.id == "distils" for target in targets):
                        return str(ast.literal_eval(line.value))
        return "–"


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
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


def list_methods() -> dict[str, Method]:
    """Return every method by the name of its file without ".py"."""
    found = read_classes()
    names = find_public_names("kdlight.methods", FOLDER)
    methods = [found[name] for name, module in names.items() if "." not in module and name in found]
    return {
        method.stem: method
        for method in sorted(methods, key=lambda method: method.stem)
        if ROOT in (base.name for base in method.bases)
    }


def read_classes() -> dict[str, Method]:
    """Parse every class in the methods' folder and in its subfolders."""
    nodes, files = {}, {}
    for file in sorted(FOLDER.rglob("[!_]*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        constants: dict[str, ast.expr] = {}
        for line in tree.body:
            if isinstance(line, ast.Assign):
                constants |= {target.id: line.value for target in line.targets if isinstance(target, ast.Name)}
            elif isinstance(line, ast.ClassDef):
                nodes[line.name] = line
                files[line.name] = (file.stem, ast.get_docstring(tree) or "", constants)
    found: dict[str, Method] = {}

    def read(name: str) -> Method:
        if name not in found:
            node, (stem, opening, constants) = nodes[name], files[name]
            direct = [read(base.id) for base in node.bases if isinstance(base, ast.Name) and base.id in nodes]
            every = {above.name: above for base in direct for above in (base, *base.bases)}
            text = ast.get_docstring(node) or ""
            found[name] = Method(name, stem, text, opening, node, constants, tuple(every.values()))
        return found[name]

    return {name: read(name) for name in nodes}


def build_overview(methods: dict[str, Method]) -> Table:
    """Build a table with a row per method; arguments that are inherited from classes of `SHARED` are left out."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption="kdlight methods METHOD shows all arguments of a method")
    for heading in ("method", "year", "distils", "paper, arguments"):
        rows.add_column(heading, no_wrap=heading in ("method", "year"))
    for stem, method in methods.items():
        paper = find_paper(method)
        title = f"{paper.authors}: {paper.title}" if paper else method.text.partition("\n")[0]
        own = [argument for owner, given in list_arguments(method) if owner.name not in SHARED for argument in given]
        shown = ", ".join(f"{argument.name}={argument.default}" for argument in own)
        rows.add_row(stem, paper.year if paper else "–", method.distils, f"{escape(title)}\n[dim]{escape(shown)}[/dim]")
    return rows


def describe(method: Method, console: Console) -> None:
    """Print a method's paper, formula and arguments, including the inherited arguments."""
    for doc in (method.opening, method.text):
        text = doc.partition("\nArgs:")[0].strip()
        console.print(LINE_END.sub(" ", text), end="\n\n", markup=False, highlight=False)
    for owner, given in list_arguments(method):
        rows = Table(title=f"{owner.name}'s arguments", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("argument", "default", ""):
            rows.add_column(heading, no_wrap=heading == "argument")
        for argument in given:
            rows.add_row(argument.name, escape(argument.default), escape(argument.meaning))
        console.print(rows)


def find_paper(method: Method) -> Paper | None:
    """Return authors, title and year of the first paper that a method's file cites; None if it cites no paper."""
    found = CITATION.search(" ".join(method.opening.split()))
    return Paper(_shorten(found[1].strip()), found[2].rstrip(",?"), found[3]) if found else None


def list_arguments(method: Method) -> list[tuple[Method, list[Argument]]]:
    """Return a method's arguments except ``student`` and ``teacher``, grouped by the class that takes them.

    The method's own class comes first.
    """
    by_owner, seen = [], set(UNSHOWN)
    for owner in (method, *method.bases):
        made = next((line for line in owner.node.body if getattr(line, "name", "") == "__init__"), None)
        if not isinstance(made, ast.FunctionDef):
            continue
        meanings = {name: " ".join(text.split()) for name, text in MEANING.findall(owner.text)}
        positional = [*made.args.posonlyargs, *made.args.args]
        without = [None] * (len(positional) - len(made.args.defaults))
        defaults = [*without, *made.args.defaults, *made.args.kw_defaults]
        named = zip([given.arg for given in (*positional, *made.args.kwonlyargs)], defaults, strict=True)
        new = [(name, default) for name, default in named if name not in seen]
        seen |= {name for name, _ in new}
        arguments = [Argument(name, _format_default(default, owner), meanings.get(name, "")) for name, default in new]
        by_owner.append((owner, arguments))
    return by_owner


def _format_default(default: ast.expr | None, owner: Method) -> str:
    """Return a default as it is written in YAML."""
    if default is None:
        return "(required)"
    if isinstance(default, ast.Name):
        default = owner.constants.get(default.id, default)
    try:
        value: Any = ast.literal_eval(default)
    except ValueError:
        return "(see its description)" if isinstance(default, ast.Lambda | ast.Name) else ast.unparse(default)
    value = list(value) if isinstance(value, tuple) else value
    return str(yaml.safe_dump(value, default_flow_style=True)).partition("\n")[0]


def _shorten(authors: str) -> str:
    """Shorten a list of more than two authors to the first and "et al."."""
    first, *others = authors.split(", ")
    return f"{first} et al." if len(others) > 1 else authors
