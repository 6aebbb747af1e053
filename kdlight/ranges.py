"""Types for the annotations of numeric arguments; each type allows a range of numbers.

On the command line, jsonargparse checks these annotations. `RangeCheck` and `check_ranges` apply the same check to
constructors and functions that are called from Python, and also check bools, choices and the names of arguments.
"""

__all__ = [
    "FiniteFloat",
    "Fraction",
    "NonNegativeFloat",
    "NonNegativeInt",
    "OpenFraction",
    "PositiveFloat",
    "PositiveInt",
    "Probes",
    "RangeCheck",
    "Seed",
    "Weight",
    "check_ranges",
    "read_weights",
]

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from kdlight.errors import UserError

Function = TypeVar("Function", bound=Callable[..., Any])

MOST = 2**31 - 1  # the largest whole number allowed: the product of two such numbers still fits into 64 bits

PositiveInt = Annotated[int, Field(ge=1, le=MOST)]
NonNegativeInt = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # numpy accepts no other seeds
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False, title="weight")]  # the weight of a term of a student's loss
Fraction = Annotated[float, Field(ge=0, le=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Probes = Annotated[int, Field(ge=8, le=MOST)]  # how many images a partial information decomposition is estimated from


def read_weights(learner: object) -> dict[str, float]:
    """Return the weights of a learner's loss terms, by argument name.

    A learner is a LightningModule that trains a student. Its weights are the constructor arguments that its class and
    the base classes annotate as `Weight`.
    """
    constructors = [vars(kind)["__init__"] for kind in type(learner).__mro__ if "__init__" in vars(kind)]
    names = (name for made in constructors for name, kind in read_annotations(made).items() if kind == Weight)
    return {name: getattr(learner, name) for name in names if hasattr(learner, name)}


def read_annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function by argument name; those that are strings are evaluated.

    ``from __future__ import annotations`` makes strings of all annotations. A string with a name that is not known yet,
    such as that of a class that is only imported for type checkers, is left out.
    """
    found = {}
    inner = inspect.unwrap(function)
    for name, kind in getattr(inner, "__annotations__", {}).items():
        with suppress(NameError, AttributeError):
            found[name] = eval(kind, inner.__globals__) if isinstance(kind, str) else kind
    return found


class RangeCheck:
    """Checks the numbers, bools and choices given to the constructor of a subclass against their annotations."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = check_ranges(cls.__init__)  # type: ignore[method-assign]


def check_ranges(function: Function) -> Function:
    """Wrap a function so that it raises `UserError` for values that do not fit its annotations.

    Only arguments are checked whose annotation consists of numbers, ranges of numbers, bools and `Literal` choices.
    """
    signature = inspect.signature(function)
    kinds = {name: TypeAdapter(kind) for name, kind in read_annotations(function).items() if _is_checked(kind)}
    owner = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            given = signature.bind_partial(*arguments, **options).arguments
        except TypeError:  # calling the function, below, raises the same error
            if function.__name__ == "__init__":
                _require_known(arguments[0], options, signature)
            given = {}
        for name in kinds.keys() & given.keys():
            value = given[name].item() if isinstance(given[name], np.generic) else given[name]
            try:
                kinds[name].validate_python(value, strict=True)
            except ValidationError as error:
                raise UserError(f"{owner}: {_describe(error, name)}") from None
        return function(*arguments, **options)

    return call  # type: ignore[return-value]


def _require_known(made: object, options: Iterable[str], signature: inspect.Signature) -> None:
    """Raise a `TypeError` that names the class of `made` for an argument that this constructor of a base does not have.

    Python's own message names the base, whose constructor the user has not called.
    """
    constructors = [vars(kind)["__init__"] for kind in type(made).__mro__ if "__init__" in vars(kind)]
    names = {name for constructor in constructors for name in inspect.signature(constructor).parameters} - {"self"}
    for name in options:
        if name not in signature.parameters:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"{type(made).__name__} has no argument {name!r}{hint}")


def _describe(error: ValidationError, name: str) -> str:
    """Describe what was expected of the argument `name`, and what was given."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
    return f"expected {name}{place} {first['msg'].replace('Input should', 'to', 1)}, got {first['input']!r}"


def _is_checked(kind: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return all(part in (None, type(None)) or _is_checked(part) for part in get_args(kind))
    return kind in (bool, int, float) or get_origin(kind) is Literal or _has_range(kind)


def _has_range(kind: Any) -> bool:
    return get_origin(kind) is Annotated or any(map(_has_range, get_args(kind)))
