"""Make a package import each public name when the name is first asked for.

The public names are those that the package's files list in ``__all__``. The package's ``__getattr__`` (PEP 562) imports
them. Type checkers and editors do not run ``__getattr__``. For them, `write_stubs` writes the same names into an
``__init__.pyi`` for each package. The build puts these stubs into the wheel, and ``make setup`` puts them beside the
sources. This file needs nothing but the standard library, so that the build can use it.
"""

import ast
import functools
import importlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

LISTED = re.compile(r"^__all__\b(?:(?:: [\w\[\]]+)? = (\[[^\]]*\])[ \t]*(?:#.*)?$)?.*", re.MULTILINE)
LAZY = "find_lazy_names(__name__, __path__)"  # how an `__init__.py` says that its names are lazy


def find_lazy_names(package: str, path: Iterable[str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package from the files in its folder and subfolders.

    The public names are those that the files list in ``__all__``. The lists are read without importing the files, so
    asking for one name imports only the file that defines it. A new file needs no entry anywhere.

    Args:
        package: The package's ``__name__``.
        path: The package's ``__path__``.

    Returns:
        The two functions, to be assigned to the package's ``__getattr__`` and ``__dir__``.
    """
    folders = tuple(path)

    @functools.cache
    def modules() -> dict[str, str]:
        return {name: module for folder in folders for name, module in find_public_names(package, Path(folder)).items()}

    def resolve(name: str) -> object:
        if name.startswith("_") or name not in modules():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{modules()[name]}"), name)

    def listed() -> list[str]:
        return sorted(modules())

    return resolve, listed


def find_public_names(package: str, folder: Path) -> dict[str, str]:
    """Find the public names of a package. Return for each name the module that defines it, relative to the package.

    Raises:
        ImportError: If two files list the same name, or if a listed name is also the name of a file or folder.
    """
    files = sorted(folder.rglob("[!_]*.py"))
    parts = [file.relative_to(folder).with_suffix("").parts for file in files]
    modules = {part for path in parts for part in path}
    found: dict[str, str] = {}
    for file, path in zip(files, parts, strict=True):
        for name in _read_listed_names(file):
            # Importing a file sets its module as an attribute of the package, in place of a function of the same name.
            if name in modules:
                raise ImportError(
                    f"{package}: {file.name} lists {name} in __all__, but a file or folder has this name, too; rename "
                    "the file or folder"
                )
            if name in found:
                other = found[name].replace(".", "/")
                raise ImportError(
                    f"{package}: both {other}.py and {'/'.join(path)}.py list {name} in __all__; rename {name} in one "
                    "of these files"
                )
            found[name] = ".".join(path)
    return found


def write_stubs(source: Path, target: Path) -> list[Path]:
    """Write an ``__init__.pyi`` for every package whose names are lazy, and return the files.

    Args:
        source: The folder of the package kdlight.
        target: The folder that the stubs are written into: `source` itself, or the copy of it in a build.
    """
    written = []
    for init in sorted(source.rglob("__init__.py")):
        if LAZY not in init.read_text(encoding="utf-8"):
            continue
        package = init.parent.relative_to(source.parent)
        names = find_public_names(".".join(package.parts), init.parent)
        lines = [f"from .{module} import {name} as {name}\n" for name, module in sorted(names.items())]
        stub = target.parent / package / "__init__.pyi"
        stub.write_text("# Written by kdlight/lazy.py from the __all__ of this folder's files.\n" + "".join(lines))
        written.append(stub)
    return written


def _read_listed_names(file: Path) -> list[str]:
    found = LISTED.search(file.read_text(encoding="utf-8"))
    if found is None:
        return []
    if found[1] is None:
        raise ImportError(
            f"{file}: expected __all__ = [...], a single list of strings, because it is read without importing the "
            f"file; got the line {found[0]!r}"
        )
    names: list[str] = ast.literal_eval(found[1])
    return names


if __name__ == "__main__":
    write_stubs(Path(__file__).parent, Path(__file__).parent)
