"""The precision losses are computed in, whatever precision the networks run in."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def at_least_float32(loss: Callable[P, R]) -> Callable[P, R]:
    """Run a loss outside autocast, with its half-precision tensors widened to float32.

    Products of features or probabilities would otherwise run in half precision under autocast: a Gram matrix overflows
    float16, and bfloat16 keeps three digits of a difference of similar numbers. float32 and float64 pass unchanged.

    Args:
        loss: A function with at least one tensor argument.

    Returns:
        The function with the same signature; gradients arrive in the precision of the arguments.
    """

    @functools.wraps(loss)
    def widened(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next(value.device for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        with torch.autocast(device.type, enabled=False):
            return loss(*map(_widen, args), **{name: _widen(value) for name, value in kwargs.items()})  # type: ignore[arg-type]

    return widened


def _widen(value: object) -> object:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value
