"""Shorten jsonargparse's error messages to one reason and a suggestion.

The original messages list all failed attempts to parse a value.
"""

import importlib
import inspect
import itertools
import re
from collections.abc import Iterable
from typing import Any

from jsonargparse import ArgumentParser

from kdlight.cli.imports import import_object, suggest
from kdlight.internals import list_options

PACKAGES = ("kdlight.methods", "kdlight.models", "kdlight.data", "kdlight.callbacks")


BASE = re.compile(r"\n *- Problem with given class_path 'lightning\.[\w.]+':\n *Option '[^']+' is not accepted")
CLASS = re.compile(r"class_path[=' ]+'?([\w.]+)'")
PLAIN = {"NoneType": "null", "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}
PLAIN |= {"list": "a list", "dict": "a mapping", "tuple": "a list", "Sequence": "a list", "Mapping": "a mapping"}
# An example for each option that takes a class.
EXAMPLES = {
    "model": "kdlight.methods.KD",
    **dict.fromkeys(("student", "teacher", "members"), "kdlight.models.resnet20"),
    "data": "kdlight.data.DigitsDataModule",
    "callbacks": "kdlight.callbacks.PIDMonitor",
    "optimizer": "torch.optim.SGD",
    "scheduler": "torch.optim.lr_scheduler.CosineAnnealingLR",
    "logger": "lightning.pytorch.loggers.WandbLogger",
}


def shorten_message(message: str, options: Iterable[str]) -> str:
    """Shorten a message to one line: the option, the reason and, for a wrong name, the most similar existing name.

    Args:
        message: The message of an error that the parser raised.
        options: The names of all options of the command.
    """
    message = _leave_out_bases(message)
    place = ".".join(_find_keys(message))
    for pattern, explain in REASONS:
        found = re.search(pattern, message)
        if found:
            said = explain(found, message, list(options))
            return f"{place}: {said}" if place else said
    reasons = [line.strip(" -") for line in message.splitlines() if line.strip() and "Parser key" not in line]
    return f"{place}: {reasons[0]}" if place and reasons else message


def _leave_out_bases(message: str) -> str:
    """Remove complaints about a base class of Lightning if the message also complains about the user's class.

    If an option of a callback is wrong, jsonargparse also tries the callback's base class, such as
    ``lightning.Callback``, and complains that the base class has no such option either.
    """
    shortened = BASE.sub("", message)
    return shortened if "given class_path" in shortened else message


def _find_keys(message: str) -> list[str]:
    """Return the keys that lead to the wrong value, from the outermost to the innermost, without repetitions."""
    return [key for key, _ in itertools.groupby(re.findall(r'Parser key "([^"]+)"', message))]


def _find_owner(found: re.Match[str], message: str) -> str:
    """Return the path of the class that the reason is about; "" if the message does not name the class.

    A message names the class in one of three places: behind the reason in the same line, before the reason, or at the
    beginning of the wrong value.
    """
    behind = CLASS.findall(message[found.end() :].partition("\n")[0])
    if behind:
        return str(behind[0])
    before = list(CLASS.finditer(message, 0, found.start()))
    if before and "Parser key" not in message[before[-1].end() : found.start()]:
        return before[-1][1]
    given = re.search(r"(?:Given|Got) value: Namespace\(class_path='([\w.]+)'", message[found.end() :])
    return given[1] if given else before[-1][1] if before else ""


def _explain_unknown_argument(found: re.Match[str], message: str, options: list[str]) -> str:
    owner, name = _find_owner(found, message), found[1].partition(".")[0]
    if _takes_others(owner):
        return f"{owner} itself has no argument '{name}'; if its **kwargs take it, write dict_kwargs: {{{name}: …}}"
    return f"{owner} has no argument '{name}'{suggest(name, _list_arguments(owner))}"


def _explain_unknown_name(found: re.Match[str], message: str, options: list[str]) -> str:
    names = dir(importlib.import_module(found[1]))
    shipped = f"; expected one of {', '.join(names)}" if found[1] in PACKAGES else ""
    return f"there is no {found[1]}.{found[2]}{suggest(found[2], names) or shipped}"


def _explain_missing_module(found: re.Match[str], message: str, options: list[str]) -> str:
    wanted = _find_owner(found, message) or found[1]
    return f"there is no module '{found[1]}' to import {wanted} from{_suggest_shipped(wanted)}"


def _explain_abstract_class(found: re.Match[str], message: str, options: list[str]) -> str:
    path = found[1] or found[2]
    missing = sorted(import_object(path).__abstractmethods__)
    return f"{path} is abstract: expected a class that implements {' and '.join(missing)}"


def _explain_required(found: re.Match[str], message: str, options: list[str]) -> str:
    owner = _find_owner(found, message)
    names = [name.partition(".")[2] or name for name in found[1].split(", ")]
    hint = "" if owner else "; give a configuration: --config configs/digits/rid.yaml"
    return f"{owner + ' needs' if owner else 'missing'} {', '.join(names)}{hint}"


def _explain_unknown_option(found: re.Match[str], message: str, options: list[str]) -> str:
    name = found[1].lstrip("-").partition("=")[0]
    if name.endswith((".yaml", ".yml")):
        return f"no option '{name}'; configurations are given as --config {name}"
    return f"no option '{name}'{suggest(name, options)}"


def _explain_flag(found: re.Match[str], message: str, options: list[str]) -> str:
    return f"{found[1]}: expected nothing after this option, got '{found[2]}'"


def _explain_range(found: re.Match[str], message: str, options: list[str]) -> str:
    kind = "a whole number" if found[1].endswith("int") else "a number"
    wanted = found[2].partition(",")[0] if found[2].startswith("a ") else f"{kind} {found[2]}"
    if wanted.endswith(("than", "equal to")):  # jsonargparse omits the limit if it equals the given value
        wanted += f" {found[3].strip(chr(39))}"
    return f"expected {wanted}, got {found[3]}"


def _explain_wrong_type(found: re.Match[str], message: str, options: list[str]) -> str:
    """Return a text such as ``expected a number or null, got 'x'``.

    An attempt of jsonargparse to parse the value can consist of several inner attempts. The types are taken from the
    errors of the innermost attempts. The errors of the outer attempts only say that the inner attempts failed.
    """
    attempts = found[1].rpartition("Errors:")[2]
    kinds = [PLAIN[kind] for kind in re.findall(r"Expected a <class '(?:[\w.]+\.)?(\w+)'>", attempts) if kind in PLAIN]
    takes_class = re.search(r"subclass of|dot import path|callable class|import path format", attempts) is not None
    takes_class &= not {"a number", "text"}.intersection(kinds)
    expected = [f"one of {choices}" for choices in re.findall(r"Expected a typing.Literal\[(.+)\]", attempts)]
    place = _find_keys(message)
    if takes_class:
        key = place[-1].rpartition(".")[2] if place else ""
        expected.append(f"an import path such as {EXAMPLES[key]}" if key in EXAMPLES else "an import path")
    expected += [kind for kind in dict.fromkeys(kinds) if kind != "null"]
    nullable = "null" in kinds and place not in (["model"], ["data"])
    value = found[2].partition(". Got value:")[0]
    given = re.search(r"val='?(.*?)'?\)$|class_path='([\w.]+)'", value)
    got = (given[1] or given[2] or "") if given else value
    hint = _suggest_shipped(got) if takes_class and got.rpartition(".")[0] in ("", *PACKAGES) else ""
    return f"expected {' or '.join([*expected, *(['null'] if nullable else [])])}, got '{got}'{hint}"


def _explain_missing_file(found: re.Match[str], message: str, options: list[str]) -> str:
    place = ".".join(_find_keys(message))
    return f"expected single options, such as --{place}.KEY VALUE, or a YAML file, got '{found[1]}'"


RANGE = r"validation errors? for ([\w-]+)\s+Input should be (.+?) \[type=\w+, input_value=(.+), input_type="
TYPE = r"([\s\S]*?(?:Expected a <class|Expected a dot|Expected a typing|subclass of)[\s\S]*?)(?:Given|Got) value: (.*)"
# The first pattern that matches is used. TYPE comes last: whatever the reason is, jsonargparse also says that the value
# is of none of the allowed types.
REASONS: tuple[tuple[str, Any], ...] = (
    (r"Option '([\w.]+)' is not accepted", _explain_unknown_argument),
    (r"module '([\w.]+)' has no attribute '(\w+)'", _explain_unknown_name),
    (r"No module named '([\w.]+)'", _explain_missing_module),
    (r"but ([\w.]+) is abstract|is abstract(?:.|\n)*Given value: ([\w.]+)", _explain_abstract_class),
    (r"the following arguments are required: (.+)", _explain_required),
    (r"does not accept option '([\w.]+)'", _explain_unknown_option),
    (r"[Uu]nrecognized arguments: (\S+)", _explain_unknown_option),
    (r"argument --(\S+): ignored explicit argument '(.*)'", _explain_flag),
    (RANGE, _explain_range),
    (r"Unable to load config '(.*)'", _explain_missing_file),
    (TYPE, _explain_wrong_type),
)


def _list_arguments(path: str) -> list[str]:
    """Return the arguments of a class or function, including those that its ``**kwargs`` pass on."""
    made = import_object(path)
    parser = ArgumentParser(exit_on_error=False)
    if isinstance(made, type):
        parser.add_class_arguments(made, as_group=False)
    elif callable(made):
        parser.add_function_arguments(made, as_group=False)
    return sorted({name.partition(".")[0] for name in list_options(parser)} - {"help"})


def _takes_others(path: str) -> bool:
    """Return whether a class or function takes ``**kwargs`` whose names cannot be found out."""
    made = import_object(path)
    parameters = inspect.signature(made).parameters.values() if callable(made) else []
    named = {given.name for given in parameters if given.kind is not given.VAR_KEYWORD}
    return len(named) < len(parameters) and set(_list_arguments(path)) <= named


def _suggest_shipped(name: str) -> str:
    """Return a text such as ``; did you mean 'kdlight.models.resnet20'?``, or an empty text if no name is similar."""
    shipped = {public: package for package in PACKAGES for public in dir(importlib.import_module(package))}
    found = suggest(name.rpartition(".")[2], shipped)
    return re.sub(r"'(\w+)'", lambda match: f"'{shipped[match[1]]}.{match[1]}'", found)
