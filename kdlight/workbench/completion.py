"""``kdlight completion SHELL``: print a script that completes commands, options and their values in a shell.

The library shtab writes the script from a parser that knows every command. The script does not start Python, but
contains all names that it completes. Print it again after each update of kdlight, because names may have changed.
"""

import argparse
import importlib
import inspect
import shlex
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal

import shtab

import kdlight
from kdlight.__main__ import COMMANDS, RUN
from kdlight.cli.shipped import list_shipped
from kdlight.cli.short_help import list_classes
from kdlight.files import parse_path
from kdlight.internals import list_actions
from kdlight.lazy import find_public_names
from kdlight.workbench.command_parser import CommandParser

SHELLS = ("bash", "zsh", "fish")
TAKE_FIT_OPTIONS = ("bench", "cache", "predict")
TAKE_DATA_OPTIONS = ("evaluate", "export", "pid")
PACKAGES = {"model": "methods", "data": "data"}  # the packages of the classes that --model and --data take
COMPLETED = {
    "--trainer.default_root_dir": shtab.DIRECTORY,
    "--data.data_dir": shtab.DIRECTORY,
    "--model.teacher_weights": shtab.FILE,
    "--model.student_weights": shtab.FILE,
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    shell = make_parser().parse_args(arguments[1:]).shell
    print(shtab.complete(describe_commands(), shell))


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser("kdlight completion", description=__doc__)
    parser.add_argument("shell", choices=SHELLS, help="the shell that the script is for")
    return parser


def describe_commands() -> argparse.ArgumentParser:
    """Build a parser with a subparser for each command. Only shtab reads it; it parses nothing."""
    whole = argparse.ArgumentParser("kdlight")
    commands = whole.add_subparsers()
    every_option, data_options = describe_fit("--"), describe_fit("--data.")
    for name, (module, text) in COMMANDS.items():
        make_own = getattr(importlib.import_module(module), "make_parser", None)
        parents = [] if make_own is None else [make_own()]
        if module == RUN or name in TAKE_FIT_OPTIONS:
            parents.append(every_option)
        elif name in TAKE_DATA_OPTIONS:
            parents.append(data_options)
        command = commands.add_parser(name, help=text, parents=parents, add_help=make_own is None)
        for action in list_actions(command):
            if action.type is parse_path or action.metavar == "RUNS":
                action.complete = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE
            if (name, action.dest) == ("ablate", "grid"):
                action.complete = complete_file_or(_names_in("grids"), "grid")
            if (name, action.dest) == ("methods", "method"):
                action.choices = [file.removesuffix(".yaml") for file in _names_in("methods")]
            if (name, action.dest) == ("data", "module"):
                action.choices = list_classes("data")
    return whole


def describe_fit(beginning: str) -> argparse.ArgumentParser:
    """Build a parser with the options of ``kdlight fit``, including those of all methods and data modules.

    Args:
        beginning: Only options whose names begin with this text are included.
    """
    from lightning.pytorch import Trainer

    from kdlight.cli.build import make_run_parser

    types = {f"--trainer.{name}": kind for name, kind in find_arguments(Trainer).items()}
    networks = [f"kdlight.models.{name}" for name in _network_names()]
    values = {"--model.student": networks, "--model.teacher": networks}
    owners: dict[str, list[str]] = {}
    for part, package in PACKAGES.items():
        values[f"--{part}"] = [f"kdlight.{package}.{name}" for name in list_classes(package)]
        for name in list_classes(package):
            found = find_arguments(getattr(importlib.import_module(f"kdlight.{package}"), name))
            for argument, kind in found.items():
                owners.setdefault(f"--{part}.{argument}", []).append(name)
                types.setdefault(f"--{part}.{argument}", kind)
    completed: dict[str, Any] = {
        **COMPLETED,
        "--config": complete_file_or([*list_shipped(), *_names_in("methods")], "config"),
        "--ckpt_path": complete_file_or(["last", "best", "auto"], "checkpoint"),
    }

    parser = argparse.ArgumentParser(add_help=False)
    actions = list_actions(make_run_parser("fit"))
    options = [(action.option_strings, action.help, action.nargs == 0) for action in actions]
    options += [([name], f"argument of {', '.join(classes)}", False) for name, classes in owners.items()]
    for names, text, is_flag in options:
        name = names[-1]
        if not name.startswith(beginning) or name == "--help" or text == argparse.SUPPRESS:
            continue
        action: Any = parser.add_argument(*names, help=text, action="store_true" if is_flag else "store")
        action.choices = values.get(name) or list_values(types.get(name)) or None
        if name in completed:
            action.complete = completed[name]
    return parser


def find_arguments(made: type) -> dict[str, Any]:
    """Return the type of each argument of a class, by the argument's name.

    Arguments that the class passes on to base classes in kdlight are included.
    """
    found: dict[str, Any] = {}
    for owner in made.__mro__:
        if "__init__" in vars(owner) and (owner is made or owner.__module__.startswith("kdlight.")):
            constructor = vars(owner)["__init__"]
            types = typing.get_type_hints(constructor)
            for name, given in list(inspect.signature(constructor).parameters.items())[1:]:
                if given.kind not in (given.VAR_POSITIONAL, given.VAR_KEYWORD):
                    found.setdefault(name, types.get(name))
    return found


def list_values(kind: Any) -> list[str]:
    """Return the values of a bool or Literal type, as the command line takes them.

    A union has the values of all its members. Other types have none.
    """
    if kind is bool:
        return ["true", "false"]
    origin = typing.get_origin(kind)
    if origin is Literal:
        return [str(value) for value in typing.get_args(kind)]
    if origin in (typing.Union, UnionType):
        return list(dict.fromkeys(value for part in typing.get_args(kind) for value in list_values(part)))
    return []


def complete_file_or(values: Iterable[str], name: str) -> dict[str, Any]:
    """Describe for shtab how to complete an argument that takes the path of a file or one of the given values.

    Args:
        values: The values.
        name: A part of the name of the shell function that completes the argument; arguments with different values need
            different names.
    """
    # In bash, shtab assumes that a function completes paths if `_file` is in its name.
    function = f"_kdlight_{name}_file"
    words = shlex.join(values)
    bash = f'{function}() {{ compgen -f -- "$1"; compgen -W {shlex.quote(words)} -- "$1"; }}'
    zsh = f"{function}() {{ _files; compadd -- {words}; }}"
    fish = f"(__fish_complete_path (commandline -ct)) {words}"
    return {"bash": function, "zsh": function, "fish": fish, "preamble": {"bash": bash, "zsh": zsh}}


def _network_names() -> list[str]:
    """List the networks that kdlight builds, and the classes that build networks of other libraries."""
    names = find_public_names("kdlight.models", Path(kdlight.__file__).parent / "models")
    return sorted(name for name, module in names.items() if module.startswith(("zoo.", "foreign")))


def _names_in(folder: str) -> list[str]:
    """List the shipped configurations of a folder by their files' names."""
    return [name.removeprefix(f"{folder}/") for name in list_shipped() if name.startswith(f"{folder}/")]
