"""The pages of the reference: a page for each package, and below it a page for each file that defines public names."""

import importlib
import inspect
import re
from functools import cache
from itertools import groupby
from pathlib import Path

import kdlight
from kdlight.lazy import find_public_names

# The packages that users import from, the most used first.
PACKAGES = (
    *("kdlight", "kdlight.methods", "kdlight.losses", "kdlight.models", "kdlight.data", "kdlight.callbacks"),
    *("kdlight.metrics", "kdlight.information", "kdlight.caching"),
)


NAME = re.compile(r"(?<![`:\w])`(\w+)`(?!`)")
CODE = re.compile(r"(``.*?``|`.*?`)")


def write_pages(folder: Path) -> None:
    """Write the pages of all packages.

    Args:
        folder: The folder in which a folder is created for each package.
    """
    for package in PACKAGES:
        place = folder / package
        place.mkdir(parents=True)
        pages = [
            (stem, [name for name, _ in group]) for stem, group in groupby(list_names(package), lambda pair: pair[1])
        ]
        for stem, names in pages:
            (place / f"{stem}.rst").write_text(write_module_page(package, stem, names), encoding="utf-8")
        (place / "index.rst").write_text(write_package_page(package, pages), encoding="utf-8")


def list_names(package: str) -> list[tuple[str, str]]:
    """List the public names of a package, each with the file that defines it, sorted by file."""
    found = kdlight.PUBLIC if package == "kdlight" else find_public_names(package, _find_folder(package))
    return sorted(found.items(), key=lambda pair: (pair[1], pair[0]))


def write_package_page(package: str, pages: list[tuple[str, list[str]]]) -> str:
    """Return the page of a package: the package's docstring, and a table of its public names.

    Each name has the first line of its own docstring beside it.
    """
    module = importlib.import_module(package)
    rows = [
        f"   * - :py:obj:`{name} <{package}.{name}>`\n     - {convert_to_rst(read_first_line(getattr(module, name)))}"
        for _, names in pages
        for name in names
    ]
    return "\n".join(
        [
            *(package, "=" * len(package), "", inspect.getdoc(module) or "", ""),
            *(".. list-table::", "   :widths: 30 70", "", *rows, ""),
            *(".. toctree::", "   :hidden:", "", *(f"   {stem}" for stem, _ in pages), ""),
        ]
    )


def write_module_page(package: str, stem: str, names: list[str]) -> str:
    """Return the page of a file: the file's docstring, and the documentation of its public names.

    Each name is shown with the package from which users import it.
    """
    module = importlib.import_module(stem if package == "kdlight" else f"{package}.{stem}")
    title = ", ".join(names)
    opening = convert_to_rst(inspect.getdoc(module) or "")
    lines = [title, "=" * len(title), "", opening, "", f".. py:currentmodule:: {package}", ""]
    for name in names:
        value = getattr(importlib.import_module(package), name)
        kind = "autoclass" if inspect.isclass(value) else "autofunction" if callable(value) else "autodata"
        lines += [f".. {kind}:: {package}.{name}", ""]
    return "\n".join(lines)


def read_first_line(value: object) -> str:
    """Return the first line of an object's docstring."""
    return (inspect.getdoc(value) or "").partition("\n")[0]


def convert_to_rst(text: str, besides: str = "") -> str:
    """Turn each public name in single backticks into a link, and escape each "|" that is not in code.

    Args:
        text: The docstring, or a line of it.
        besides: The full name of the object that the docstring describes; the object is not linked to itself.
    """

    def write_link(found: re.Match[str]) -> str:
        target = _map_names().get(found[1])
        return f":py:obj:`{found[1]} <{target}>`" if target and target != besides else found[0]

    parts = CODE.split(text)  # every second part is code
    return "".join(
        NAME.sub(write_link, part) if place % 2 else part.replace("|", "\\|") for place, part in enumerate(parts)
    )


@cache
def _map_names() -> dict[str, str]:
    """Return, for each public name, the full name under which it is documented."""
    return {name: f"{package}.{name}" for package in PACKAGES for name, _ in list_names(package)}


def _find_folder(package: str) -> Path:
    return Path(kdlight.__file__).parent.joinpath(*package.split(".")[1:])
