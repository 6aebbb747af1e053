"""jsonargparse names place and reason inside a tree of attempts; users want these two, and the nearest name."""

import importlib
import inspect
import re
from collections.abc import Iterable
from typing import Any

from jsonargparse import ArgumentParser

from kdlight.cli.imports import imported, nearest

PACKAGES = ("kdlight.methods", "kdlight.models", "kdlight.data", "kdlight.callbacks")


CLASS = re.compile(r"class_path[=' ]+'?([\w.]+)'")


def readable(message: str, options: Iterable[str]) -> str:
    """One line with the place, the reason and the nearest right name.

    Args:
        message: Of an error that the parser raised.
        options: The names of all options of the command.
    """
    place = ".".join(re.findall(r'Parser key "([^"]+)"', message))
    for pattern, explain in REASONS:
        found = re.search(pattern, message)
        if found:
            # The class at fault is named on the same line behind the reason, or last before it.
            behind = CLASS.findall(message[found.end() :].partition("\n")[0])
            classes = behind[:1] or CLASS.findall(message[: found.start()])
            said = explain(found, classes, list(options))
            return f"{place}: {said}" if place else said
    reasons = [line.strip(" -") for line in message.splitlines() if line.strip() and "Parser key" not in line]
    return f"{place}: {reasons[0]}" if place and reasons else message


def _unknown_argument(found: re.Match[str], classes: list[str], options: list[str]) -> str:
    *_, owner = classes or [""]
    name = found[1].partition(".")[0]
    if _takes_others(owner):
        return f"{owner} does not name an argument '{name}'; write what it hands on as dict_kwargs: {{{name}: …}}"
    return f"{owner} has no argument '{name}'{nearest(name, _arguments(owner))}"


def _unknown_name(found: re.Match[str], classes: list[str], options: list[str]) -> str:
    names = dir(importlib.import_module(found[1]))
    shipped = f"; expected one of {', '.join(names)}" if found[1] in PACKAGES else ""
    return f"there is no {found[1]}.{found[2]}{nearest(found[2], names) or shipped}"


def _no_module(found: re.Match[str], classes: list[str], options: list[str]) -> str:
    *_, wanted = classes or [found[1]]
    return f"no module '{found[1]}', looking for {wanted}{_nearest_shipped(wanted)}"


def _no_import_path(found: re.Match[str], classes: list[str], options: list[str]) -> str:
    return f"expected an import path, got '{found[1]}'{_nearest_shipped(found[1])}"


def _required(found: re.Match[str], classes: list[str], options: list[str]) -> str:
    names = [name.partition(".")[2] or name for name in found[1].split(", ")]
    hint = "" if classes else "; give a configuration: --config configs/digits/rid.yaml"
    return f"{classes[-1] + ' needs' if classes else 'missing'} {', '.join(names)}{hint}"


def _unknown_option(found: re.Match[str], classes: list[str], options: list[str]) -> str:
    name = found[1].lstrip("-").partition("=")[0]
    return f"no option '{name}'{nearest(name, options)}"


def _wrong_type(found: re.Match[str], classes: list[str], options: list[str]) -> str:
    kinds = dict.fromkeys(re.findall(r"Expected a <class '([\w.]+)'>", found[0]))
    expected = " or ".join("null" if kind == "NoneType" else kind for kind in kinds)
    value = re.search(r"val='(.*)'\)", found[1])
    return f"expected {expected}, got {value[1] if value else found[1]!r}"


# The first that matches wins: reasons before the types of the attempts that failed for them.
REASONS: tuple[tuple[str, Any], ...] = (
    (r"Option '([\w.]+)' is not accepted", _unknown_argument),
    (r"module '([\w.]+)' has no attribute '(\w+)'", _unknown_name),
    (r"No module named '([\w.]+)'", _no_module),
    (r"Expected a dot import path string: (\S+)", _no_import_path),
    (r"the following arguments are required: (.+)", _required),
    (r"does not accept option '([\w.]+)'", _unknown_option),
    (r"[Uu]nrecognized arguments: (\S+)", _unknown_option),
    (r"Expected a <class '[\w.]+'>[\s\S]*(?:Given|Got) value: (.+)", _wrong_type),
)


def _arguments(path: str) -> list[str]:
    """The arguments of a class or function, those behind its ``**kwargs`` included."""
    made = imported(path)
    parser = ArgumentParser(exit_on_error=False)
    if isinstance(made, type):
        parser.add_class_arguments(made, as_group=False)
    elif callable(made):
        parser.add_function_arguments(made, as_group=False)
    return sorted({action.dest.partition(".")[0] for action in parser._actions} - {"help"})


def _takes_others(path: str) -> bool:
    """Whether a class or function takes ``**kwargs`` whose names cannot be found out."""
    made = imported(path)
    parameters = inspect.signature(made).parameters.values() if callable(made) else []
    named = {given.name for given in parameters if given.kind is not given.VAR_KEYWORD}
    return len(named) < len(parameters) and set(_arguments(path)) <= named


def _nearest_shipped(name: str) -> str:
    """The nearest public name of kdlight with its import path."""
    shipped = {public: package for package in PACKAGES for public in dir(importlib.import_module(package))}
    found = nearest(name.rpartition(".")[2], shipped)
    return re.sub(r"'(\w+)'", lambda match: f"'{shipped[match[1]]}.{match[1]}'", found)
