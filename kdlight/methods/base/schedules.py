"""Loss weights that change from epoch to epoch, and learning rates with a warm-up."""

from collections.abc import Mapping

from lightning.pytorch.cli import LRSchedulerCallable
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

from kdlight.errors import UserError

# Schedules that can be combined with a warm-up, because they scale the current learning rate. Others, such as LambdaLR
# and OneCycleLR, overwrite it, which would undo the warm-up.
CHAINABLE = (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)


def ramp_up(epoch: int, epochs: int) -> float:
    """Return a factor that grows linearly over the warm-up, from 1 / epochs in its first epoch to 1 in its last.

    As in mdistiller, which counts epochs from 1, the factor is never 0.

    Args:
        epoch: Counted from 0.
        epochs: Length of the warm-up; 0: no warm-up.
    """
    return min((epoch + 1) / epochs, 1.0) if epochs > 0 else 1.0


def add_warm_up(optimizer: Optimizer, schedule: LRSchedulerCallable | None, epochs: int) -> LRScheduler:
    """Make a schedule whose learning rate in each epoch is that of the given schedule times `ramp_up`.

    Args:
        optimizer: The optimizer.
        schedule: Makes the schedule; None: a constant learning rate.
        epochs: Length of the warm-up, at least 1.

    Raises:
        UserError: If the schedule overwrites the learning rate instead of scaling it.
    """
    scheduler = None if schedule is None else schedule(optimizer)
    if not isinstance(scheduler, (type(None), *CHAINABLE)):
        names = ", ".join(kind.__name__ for kind in CHAINABLE)
        raise UserError(
            f"expected a scheduler that scales the warm-up's learning rates ({names}), got {type(scheduler).__name__}; "
            "take one of these or no warm-up"
        )
    growth = LinearLR(optimizer, start_factor=1 / epochs, total_iters=epochs - 1)
    return growth if scheduler is None else ChainedScheduler([growth, scheduler], optimizer)


def interpolate_weight(weight: float | Mapping[int, float], epoch: int) -> float:
    """Return the value of a weight in an epoch.

    Args:
        weight: A number, or a mapping from some epochs to numbers. Between these epochs the weight changes linearly;
            before the first and after the last it is constant.
        epoch: Counted from 0.
    """
    if not isinstance(weight, Mapping):
        return weight
    before = max((known for known in weight if known <= epoch), default=min(weight))
    after = min((known for known in weight if known >= epoch), default=max(weight))
    place = (epoch - before) / (after - before) if after != before else 0.0
    return (1 - place) * weight[before] + place * weight[after]
