"""Lazy public names of a package: those its files define, imported when first asked for (PEP 562)."""

import ast
import functools
import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def names_of(package: str, path: Iterable[str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package from the files of its folder and of the folders in it.

    A public name is a function or class at the top level of a file, without a leading underscore. The files are parsed,
    not imported: asking for one name imports the file that defines it and no other, and a new file needs no entry.

    Args:
        package: The package's ``__name__``.
        path: The package's ``__path__``.

    Returns:
        The two functions, to be assigned to the package's ``__getattr__`` and ``__dir__``.
    """
    folders = tuple(path)

    @functools.cache
    def modules() -> dict[str, str]:
        found: dict[str, str] = {}
        below = sorted((Path(folder), file) for folder in folders for file in Path(folder).rglob("[!_]*.py"))
        for folder, file in below:
            for name in _public_names(file):
                # Importing the file would bind the module to this name in the package, over the function or class.
                if name == file.stem:
                    raise ImportError(f"{package}: {file.name} defines {name}, its own stem; rename the file")
                if name in found:
                    raise ImportError(f"{package}: both {found[name]}.py and {file.name} define {name}; rename one")
                found[name] = ".".join(file.relative_to(folder).with_suffix("").parts)
        return found

    def resolve(name: str) -> object:
        if name.startswith("_") or name not in modules():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{modules()[name]}"), name)

    def listed() -> list[str]:
        return sorted(modules())

    return resolve, listed


def _public_names(file: Path) -> list[str]:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"]
