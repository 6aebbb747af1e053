"""What the processes of a run share: values gathered from all of them, and the seed of the run."""

import os
from typing import Any

import torch.distributed
from torch import Tensor


def is_distributed() -> bool:
    """Return whether this process belongs to a group of processes that can exchange values."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def gather_tensor(values: Tensor) -> Tensor:
    """Concatenate the values (batch, ...) of all processes in the order of ranks. All need the same batch size."""
    if not is_distributed():
        return values
    parts = [torch.empty_like(values) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts)


def gather_object(value: Any) -> list[Any]:
    """List the values of all processes in the order of ranks. The values are sent in pickled form."""
    if not is_distributed():
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def read_run_seed() -> int:
    """Read the seed of the run, which Lightning's ``seed_everything`` keeps in the environment; 0 if there is none."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))
