"""Compute from configurations and data how many optimizer steps the runs of a grid (see `kdlight ablate`) will take."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import yaml
from lightning.pytorch import LightningDataModule

from kdlight.cli.build import ParsedConfig
from kdlight.cli.objects import build_object
from kdlight.errors import UserError
from kdlight.workbench.ablate.jobs import Job


def describe_total(due: Sequence[Job], finished: int) -> str:
    """Describe how much there is to train.

    If data cannot be read, the text says why the number of steps is unknown.

    Args:
        due: The jobs that are to be trained.
        finished: How many other runs are finished already.
    """
    said = f"{len(due)} runs to train, {sum(job.epochs for job in due)} epochs"
    others = f"{finished} other runs are finished"
    try:
        return f"{said} and {sum(count_steps(job.parsed) for job in due):,} steps in all; {others}"
    except UserError as error:
        return f"{said} in all; {others}; the number of steps is unknown: {error}"


def count_steps(parsed: ParsedConfig) -> int:
    """Count the optimizer steps of a run: batches per epoch, divided by ``accumulate_grad_batches``, times epochs.

    Args:
        parsed: The run's configuration; the data that it names are read.

    Raises:
        UserError: If the data cannot be read, for example because they have not been downloaded.
    """
    trainer = parsed.config.trainer
    described = yaml.safe_load(parsed.to_yaml())["data"]
    processes = _count_processes(trainer)
    batches = math.ceil(_count_batches(yaml.safe_dump(described)) / processes)
    limit: float | None = trainer.limit_train_batches
    if limit is not None:
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    steps = math.ceil(batches / int(trainer.accumulate_grad_batches)) * int(trainer.max_epochs or 0)
    most: int = trainer.max_steps
    return steps if most < 0 else min(steps, most)


def _count_processes(trainer: Any) -> int:
    """Count the processes that share an epoch's batches; ``devices: auto`` or ``-1`` counts as one device per node."""
    devices = trainer.devices
    named = len(devices) if isinstance(devices, list) else int(devices) if str(devices).isdigit() else 1
    return max(1, named) * int(trainer.num_nodes)


@lru_cache(maxsize=64)
def _count_batches(described: str) -> int:
    """Return the number of training batches per epoch; ``described`` is the section ``data`` of a configuration."""
    data: LightningDataModule = build_object(LightningDataModule, yaml.safe_load(described))
    try:
        data.setup("fit")
    except OSError as error:
        raise UserError(f"{error}; the steps of a run are counted from its data") from error
    return len(data.train_dataloader())
