"""The precision in which losses are computed, whatever the precision of the networks."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def widen_half_precision(loss: Callable[P, R]) -> Callable[P, R]:
    """Make a loss run outside autocast, and widen its half-precision arguments to float32.

    Products of features or probabilities would otherwise run in half precision under autocast: a Gram matrix can
    overflow float16, and bfloat16 has only two to three digits, which are lost in a difference of similar numbers.
    Tensors of float32 and float64 pass unchanged.

    Args:
        loss: A function with at least one tensor argument.

    Returns:
        A function with the same signature. The gradient of each argument has the argument's precision.
    """

    @functools.wraps(loss)
    def run_widened(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next(value.device for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        with torch.autocast(device.type, enabled=False):
            return loss(*map(_widen, args), **{name: _widen(value) for name, value in kwargs.items()})  # type: ignore[arg-type]

    return run_widened


def to_float64(values: Tensor) -> Tensor:
    """Convert to float64, for a loss that is a small difference of large numbers.

    A divergence at a high temperature T is such a difference: it falls like 1/T^2, but the rounding errors of the
    logarithms in it do not. In float32 it has no correct digit at T = 1e4; in float64 it has six correct digits at
    T = 1e5. Apple's GPUs have no float64, so values stay in float32 there.
    """
    return values if values.device.type == "mps" else values.double()


def _widen(value: object) -> object:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value
