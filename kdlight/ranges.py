"""Types for the annotations of numeric arguments; each type allows a range of numbers.

On the command line, jsonargparse checks these annotations. `RangeCheck` and `check_ranges` apply the same check to
constructors and functions that are called from Python.
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

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args, get_origin

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
    names = (
        name for made in constructors for name, kind in getattr(made, "__annotations__", {}).items() if kind == Weight
    )
    return {name: getattr(learner, name) for name in names if hasattr(learner, name)}


class RangeCheck:
    """Checks that the numbers given to the constructor of a subclass lie in the ranges of their annotations."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = check_ranges(cls.__init__)  # type: ignore[method-assign]


def check_ranges(function: Function) -> Function:
    """Wrap a function so that it raises `UserError` for numbers outside the ranges of its annotations."""
    signature = inspect.signature(function)
    ranges = {name: TypeAdapter(kind) for name, kind in function.__annotations__.items() if _has_range(kind)}
    owner = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            given = signature.bind_partial(*arguments, **options).arguments
        except TypeError:  # calling the function, below, raises the same error
            given = {}
        for name in ranges.keys() & given.keys():
            value = given[name].item() if isinstance(given[name], np.generic) else given[name]
            try:
                ranges[name].validate_python(value, strict=True)
            except ValidationError as error:
                raise UserError(f"{owner}: {_describe(error, name)}") from None
        return function(*arguments, **options)

    return call  # type: ignore[return-value]


def _describe(error: ValidationError, name: str) -> str:
    """Describe what was expected of the argument `name`, and what was given."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
    return f"expected {name}{place} {first['msg'].replace('Input should', 'to', 1)}, got {first['input']!r}"


def _has_range(kind: Any) -> bool:
    return get_origin(kind) is Annotated or any(map(_has_range, get_args(kind)))
