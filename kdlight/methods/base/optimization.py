"""Make optimizers and learning rate schedules, and refuse arguments with which no network can learn."""

import copy
import inspect
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.nn import Module
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from kdlight.errors import UserError

Make = Callable[[Any], Any]
MAY_BE_NEGATIVE = {"last_epoch", "threshold"}  # arguments of schedules; all others must be at least 0


def configure_optimization(
    make: Make,
    schedule: Make | None,
    children: Mapping[str, Module],
    factors: Mapping[str, float],
    *,
    channels_last: bool,
) -> Any:
    """Make the optimizer and the schedule for a method's child modules.

    They are returned in the form in which Lightning's hook ``configure_optimizers`` has to return them.

    Args:
        make: Makes the optimizer from groups of parameters.
        schedule: Makes the schedule from the optimizer; None: a constant learning rate.
        children: The child modules by name.
        factors: The factors on the children's learning rates, by the child's name. Children without an entry have the
            factor 1.
        channels_last: Whether gradients may lie in memory in the order of ``torch.channels_last``.

    Raises:
        UserError: If the optimizer or the schedule cannot be made.
    """
    groups = [{"params": list(child.parameters()), "rate": factors.get(name, 1.0)} for name, child in children.items()]
    optimizer = make_optimizer(make, [group for group in groups if group["params"]], channels_last=channels_last)
    for group in optimizer.param_groups:
        group["lr"] *= group.pop("rate")
    if schedule is None:
        return optimizer
    scheduler: Any = make_scheduler(schedule, optimizer)
    if isinstance(scheduler, ReduceLROnPlateau):
        monitor = getattr(scheduler, "monitor", "val/loss")
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": monitor}}
    return {"optimizer": optimizer, "lr_scheduler": scheduler}


def make_optimizer(make: Make, groups: Sequence[Mapping[str, Any]], *, channels_last: bool) -> Optimizer:
    """Make an optimizer.

    Args:
        make: Makes the optimizer from groups of parameters.
        groups: The groups of parameters.
        channels_last: Whether gradients may lie in memory in the order of ``torch.channels_last``.

    Raises:
        UserError: If the optimizer refuses its arguments, if an argument is not finite, or if an optimizer of this
            class cannot train the networks.
    """
    try:
        optimizer: Optimizer = make(groups)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UserError(f"model.optimizer: {error}; give another value") from error
    for name, value in optimizer.defaults.items():
        if not all(map(math.isfinite, _find_numbers(value))):
            raise UserError(f"model.optimizer: expected a finite number for {name}, got {value}; give another value")
    if isinstance(optimizer, torch.optim.LBFGS) and channels_last:
        raise UserError(
            "model.optimizer: LBFGS joins all gradients into one vector and expects them in torch's usual memory "
            "layout, got model.channels_last: true; set model.channels_last: false"
        )
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise UserError(
            "model.optimizer: expected an optimizer for dense gradients, which networks for images have, got "
            "SparseAdam; take torch.optim.Adam"
        )
    return optimizer


def make_scheduler(make: Make, optimizer: Optimizer) -> Any:
    """Make a learning rate schedule, and check it if its class belongs to torch or Lightning.

    The check includes one step of a copy of the schedule, because some wrong arguments cause an error only in a step.

    Args:
        make: Makes the schedule from the optimizer.
        optimizer: The optimizer. The check changes only a copy of it.

    Raises:
        UserError: If the schedule refuses its arguments. Schedules of torch and Lightning are also refused if an
            argument is NaN, if an argument other than those in `MAY_BE_NEGATIVE` is negative, or if the learning rate
            after one step is negative or not finite.
    """
    try:
        scheduler = make(optimizer)
        if type(scheduler).__module__.startswith(("torch.", "lightning.")):
            _check_arguments(scheduler)
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            trial = copy.deepcopy(scheduler, {id(parameter): parameter for parameter in parameters})
            with warnings.catch_warnings():  # torch warns of a schedule that steps before the optimizer
                warnings.simplefilter("ignore")
                trial.step(*([0.0] if isinstance(scheduler, ReduceLROnPlateau) else []))
            require_rates(trial.optimizer, "after the first epoch")
    except UserError:
        raise
    except ZeroDivisionError as error:
        raise UserError(
            "model.scheduler: an argument by which the schedule divides is 0: expected lengths such as T_max "
            "and step_size to be at least 1"
        ) from error
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UserError(f"model.scheduler: {error}; give another value") from error
    return scheduler


def _check_arguments(scheduler: Any) -> None:
    """Check the arguments that a schedule stores as attributes of the same name.

    Raises:
        ValueError: If an attribute is NaN, or an argument other than those in `MAY_BE_NEGATIVE` is negative. The
            message names it.
    """
    kinds = [kind for kind in type(scheduler).__mro__ if "__init__" in vars(kind) and kind is not object]
    arguments = {name for kind in kinds for name in inspect.signature(kind).parameters} - MAY_BE_NEGATIVE
    for name, value in vars(scheduler).items():
        numbers = list(_find_numbers(value))
        if any(map(math.isnan, numbers)):  # NaN only: `ReduceLROnPlateau` stores infinities
            raise ValueError(f"expected a number for {name}, got {value}")
        if name in arguments and min(numbers, default=0) < 0:
            raise ValueError(f"expected at least 0 for {name}, got {value}")


def require_rates(optimizer: Optimizer, when: str) -> None:
    """Check the learning rates of an optimizer.

    Args:
        optimizer: The optimizer.
        when: When the learning rates are checked, for the message.

    Raises:
        UserError: If a learning rate is negative or not finite.
    """
    for group in optimizer.param_groups:
        if not 0 <= float(group["lr"]) < math.inf:
            raise UserError(
                f"model.scheduler: expected a finite learning rate of at least 0, got {float(group['lr']):g} {when}; "
                "give the schedule other values"
            )


def _find_numbers(value: Any) -> Iterator[float]:
    """Yield the real numbers in a value, including those in lists and mappings."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _find_numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
