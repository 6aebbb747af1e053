"""Objects that remember the arguments they were built with. A run writes these arguments into its configuration."""

import copy
import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar

import numpy as np

UNKNOWN = "object of "  # the description of an object that does not remember its arguments begins with this

Given = ParamSpec("Given")
Made = TypeVar("Made", bound="ArgumentRecord")


class ArgumentRecord:
    """A base class whose objects remember the arguments they were built with.

    Attributes:
        built_from: A dict that describes the object as in a configuration file: ``class_path`` is the import path of
            the class (or of the function, see `record_arguments`), and ``init_args`` holds the arguments by name,
            converted by `describe`.
    """

    built_from: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the object and store its arguments."""
        made = super().__new__(cls)
        given = _name_arguments(cls, args, kwargs)  # __init__ refuses wrong arguments
        # Torch modules override `__setattr__`, and it expects that their constructor has run. `vars` bypasses it.
        vars(made)["built_from"] = {
            "class_path": find_import_path(cls),
            "init_args": {name: describe(value) for name, value in given.items()},
        }
        return made


def record_arguments(make: Callable[Given, Made]) -> Callable[Given, Made]:
    """Decorate a function such as `resnet20`: the object that it returns remembers the function and the arguments."""

    @functools.wraps(make)
    def made(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        result = make(*args, **kwargs)
        given = inspect.signature(make).bind(*args, **kwargs).arguments
        result.built_from = {
            "class_path": find_import_path(made),
            "init_args": {name: describe(value) for name, value in given.items()},
        }
        return result

    return made


def describe(value: Any) -> Any:
    """Convert an argument to the value that stands for it in a configuration file.

    Returns:
        None, a number or a string, or lists and dicts of these. For a function, or an object that cannot be described
        in this form, a string that begins with `UNKNOWN` and names the function or the object's class.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return describe(value.item())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(getattr(value, "built_from", None), dict):
        return copy.deepcopy(value.built_from)
    if is_dataclass(value) and not isinstance(value, type):
        return describe(asdict(value))
    if isinstance(value, functools.partial) and _is_importable(value.func):
        given = _name_arguments(value.func, value.args, value.keywords)
        return {"class_path": find_import_path(value.func), "init_args": describe(given)}
    if isinstance(value, type) and _is_importable(value):
        return find_import_path(value)
    kind = value if inspect.isfunction(value) else type(value)
    return f"{UNKNOWN}{kind.__module__}.{kind.__qualname__}"


def _name_arguments(made: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return positional and named arguments of a class or function by name."""
    # Not the signature of the class: that of an `ArgumentRecord` is the one of `__new__`.
    called: Any = made.__init__ if isinstance(made, type) else made  # type: ignore[misc]  # not an instance
    names = list(inspect.signature(called).parameters)[isinstance(made, type) :] if args else []
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _is_importable(value: Any) -> bool:
    """Return whether a value is a class or function that is not defined inside a function."""
    return (isinstance(value, type) or inspect.isfunction(value)) and "<" not in value.__qualname__


def has_unknown(described: Any) -> bool:
    """Return whether a description contains an object that does not remember its arguments."""
    if isinstance(described, Mapping):
        return any(has_unknown(item) for item in described.values())
    if isinstance(described, list):
        return any(has_unknown(item) for item in described)
    return isinstance(described, str) and described.startswith(UNKNOWN)


def find_import_path(made: type | Callable[..., Any]) -> str:
    """Return the import path of a class or function, such as ``torch.optim.sgd.SGD``.

    If a package of kdlight exports the class or function, the path leaves out the file: it is ``kdlight.methods.KD``,
    not ``kdlight.methods.kd.KD``.
    """
    package = ".".join(made.__module__.split(".")[:2])
    if package.startswith("kdlight.") and getattr(sys.modules.get(package), made.__name__, None) is made:
        return f"{package}.{made.__name__}"
    return f"{made.__module__}.{made.__qualname__}"
