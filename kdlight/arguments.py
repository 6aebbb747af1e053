"""Objects that remember the arguments they were built with, so that a run can keep them in its configuration."""

import copy
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar

UNKNOWN = "object of "  # begins the description of an object that does not remember its arguments

Given = ParamSpec("Given")
Made = TypeVar("Made", bound="ArgumentRecord")


class ArgumentRecord:
    """A base class whose objects remember the arguments they were built with.

    Attributes:
        built_from: ``class_path`` and ``init_args``, as a configuration has them: plain values, no references.
    """

    built_from: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the object and store its arguments."""
        made = super().__new__(cls)
        parameters = list(inspect.signature(cls.__init__).parameters)[1:]
        given = {**dict(zip(parameters, args, strict=False)), **kwargs}  # wrong arguments: __init__ refuses them next
        # An assignment would fail: a torch module accepts none before its own constructor has run.
        vars(made)["built_from"] = {
            "class_path": find_import_path(cls),
            "init_args": {name: describe(value) for name, value in given.items()},
        }
        return made


def record_arguments(make: Callable[Given, Made]) -> Callable[Given, Made]:
    """Make objects remember the function that built them, such as `resnet20`, instead of their class, `ResNet`."""

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
    """Turn an argument into what a configuration file writes for it.

    Returns:
        Numbers, strings, lists and mappings of them; for an object that does not remember its arguments, a string that
        begins with `UNKNOWN` and names its class.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
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
    if isinstance(value, functools.partial) and not value.args and isinstance(value.func, type):
        return {"class_path": find_import_path(value.func), "init_args": describe(value.keywords)}
    if isinstance(value, type) and "<" not in value.__qualname__:
        return find_import_path(value)
    kind = value if inspect.isfunction(value) else type(value)
    return f"{UNKNOWN}{kind.__module__}.{kind.__qualname__}"


def has_unknown(described: Any) -> bool:
    """Return whether a description contains an object that does not remember its arguments."""
    if isinstance(described, Mapping):
        return any(has_unknown(item) for item in described.values())
    if isinstance(described, list):
        return any(has_unknown(item) for item in described)
    return isinstance(described, str) and described.startswith(UNKNOWN)


def find_import_path(made: type | Callable[..., Any]) -> str:
    """Return the path that imports a class or function, the short one where it is public: ``kdlight.methods.KD``."""
    package = ".".join(made.__module__.split(".")[:2])
    if package.startswith("kdlight.") and getattr(sys.modules.get(package), made.__name__, None) is made:
        return f"{package}.{made.__name__}"
    return f"{made.__module__}.{made.__qualname__}"
