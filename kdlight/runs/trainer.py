"""Create Lightning's `Trainer` from a configuration, and report wrong values before they make the run fail."""

import os
import re
from typing import Annotated, Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from pydantic import Field, TypeAdapter, ValidationError

from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError
from kdlight.ranges import MOST, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

UNLIMITED = Annotated[int, Field(ge=-1, le=MOST)]  # -1 stands for no limit
# Ranges that Lightning does not check. With values outside of them, it divides by zero, waits for ever or trains
# nothing.
RANGES: dict[str, Any] = {
    **dict.fromkeys(("num_nodes", "accumulate_grad_batches", "check_val_every_n_epoch"), PositiveInt),
    **dict.fromkeys(("max_epochs", "max_steps", "num_sanity_val_steps"), UNLIMITED),
    **dict.fromkeys(
        ("min_epochs", "min_steps", "log_every_n_steps", "reload_dataloaders_every_n_epochs", "fast_dev_run"),
        NonNegativeInt,
    ),
    **dict.fromkeys(("limit_train_batches", "limit_val_batches", "limit_test_batches"), NonNegativeFloat),
    **dict.fromkeys(("limit_predict_batches", "overfit_batches", "gradient_clip_val"), NonNegativeFloat),
    "val_check_interval": PositiveFloat,
}
REFUSALS = (ValueError, TypeError, RuntimeError, ArithmeticError, AssertionError, AttributeError, KeyError, ImportError)


def make_trainer(options: dict[str, Any]) -> Trainer:
    """Create the trainer that a configuration describes.

    Args:
        options: The arguments of Lightning's `Trainer`; callbacks and loggers are objects.

    Raises:
        UserError: If a value is out of range, or Lightning refuses a value (for example, an unknown strategy).
    """
    for name, kind in RANGES.items():
        value = options.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            _check_range(name, value, kind)
    time = options.get("max_time")
    if isinstance(time, str) and not re.fullmatch(r"\d+:\d\d:\d\d:\d\d", time.strip()):
        raise UserError(f"trainer.max_time: expected days, hours, minutes and seconds as DD:HH:MM:SS, got '{time}'")
    try:
        trainer = Trainer(**options)
    except UserError:
        raise
    except REFUSALS as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise UserError(f"trainer: {lines[0]}") from error
    if trainer.num_nodes > 1:
        _require_nodes(trainer)
    return trainer


def require_steps(trainer: Trainer) -> None:
    """Refuse a run that would train no step, or whose test after training would have no batch.

    Raises:
        UserError: If an option limits the steps or batches to 0.
    """
    for name in ("max_epochs", "max_steps", "limit_train_batches", "limit_test_batches"):
        if getattr(trainer, name) == 0:
            purpose = "the run would end without a result" if "test" in name else "nothing would be trained"
            raise UserError(f"trainer.{name}: expected more than 0, got 0: {purpose}; leave it out, or raise it")


def require_batches(trainer: Trainer, data: ImageDataModule) -> None:
    """Refuse a training set that is too small for a single batch, and a validation interval longer than an epoch.

    Raises:
        UserError: If there are too few images, or the interval has more steps than an epoch.
    """
    batches = len(data.train_dataloader())
    if not batches:
        raise UserError(
            f"the training set has {data.train_size} images for {trainer.world_size} process(es): expected at least 2 "
            "for each; lower data.val_size, or raise data.train_per_class"
        )
    every, counts_epochs = trainer.val_check_interval, trainer.check_val_every_n_epoch is not None
    if type(every) is int and every > batches and counts_epochs:
        raise UserError(
            f"trainer.val_check_interval: expected at most {batches}, the steps of an epoch, got {every}; for an "
            "interval longer than an epoch, add --trainer.check_val_every_n_epoch null"
        )


def require_trained(trainer: Trainer) -> None:
    """Refuse to test a run that ended before its first step.

    Raises:
        UserError: If no step was trained; the message names likely causes.
    """
    if trainer.global_step == 0:
        raise UserError(
            "training ended before its first step: expected at least one step; raise trainer.max_time if it is set, "
            "and look for a callback that stops the run"
        )


def _check_range(name: str, value: float, kind: Any) -> None:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        expected = error.errors()[0]["msg"].removeprefix("Input should be ").removeprefix("a finite number")
        raise UserError(f"trainer.{name}: expected a number {expected or 'that is finite'}, got {value}") from None


def _require_nodes(trainer: Trainer) -> None:
    """Refuse several machines if this process cannot find the others: it would wait for them for ever.

    Raises:
        UserError: If no launcher started this process, and MASTER_ADDR, MASTER_PORT and NODE_RANK are not all set.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    alone = "GROUP_RANK" not in os.environ and not os.environ.keys() >= {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"}
    if environment is None or (type(environment) is LightningEnvironment and alone):
        raise UserError(
            f"trainer.num_nodes {trainer.num_nodes}: expected a process on each machine, started by srun or torchrun, "
            "or by hand with MASTER_ADDR, MASTER_PORT and NODE_RANK set; this process was started in another way, so "
            "the run would wait for ever: leave trainer.num_nodes out to train on this machine"
        )


def report_schedule_length(trainer: Trainer) -> None:
    """Print a line if a cosine schedule has another length than the run, as after ``--trainer.max_epochs``."""
    epochs = trainer.max_epochs
    for config in trainer.lr_scheduler_configs:
        length = getattr(config.scheduler, "T_max", None)
        if config.interval != "epoch" or length is None or epochs is None or epochs in (-1, length):
            continue
        then = "rises again after it" if length < epochs else "does not fall to its lowest value"
        rank_zero_info(
            f"the run has {epochs} epochs, but the schedule's T_max is {length}, so the learning rate {then}; "
            f"to change this: model.scheduler.T_max={epochs}"
        )
