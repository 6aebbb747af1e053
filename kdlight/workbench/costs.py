"""Measure the costs of a network.

The costs are the numbers of parameters and of operations, the size of the weights file, and the time and the memory
that a forward pass takes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(model: nn.Module) -> int:
    """Return the number of learned parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_operations(model: nn.Module, image_shape: Sequence[int]) -> int:
    """Return the floating point operations for one image; a multiply-add counts as two.

    Args:
        model: A network on any device, including "meta".
        image_shape: (channels, height, width).
    """
    parameter = next(model.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, *image_shape, device=parameter.device, dtype=parameter.dtype))
    return int(counter.get_total_flops())


def count_bytes(model: nn.Module) -> int:
    """Return the number of bytes of a network's state dict: the size of its weights file without the file's header."""
    return sum(tensor.nbytes for tensor in model.state_dict().values())


def measure_memory(model: nn.Module, image_shape: Sequence[int], batch: int) -> int:
    """Return the peak memory of a forward pass in bytes, without the weights and the images.

    Args:
        model: A network in evaluation mode.
        image_shape: (channels, height, width).
        batch: The number of images in the batch.
    """
    device = next(model.parameters()).device
    images = torch.zeros(batch, *image_shape, device=device)
    with torch.no_grad():
        if device.type == "cuda":
            before = torch.cuda.memory_allocated(device)
            torch.cuda.reset_peak_memory_stats(device)
            model(images)
            return int(torch.cuda.max_memory_allocated(device) - before)
        known = {StorageWeakRef(tensor.untyped_storage()) for tensor in (*model.state_dict().values(), images)}
        with _PeakMemory(known) as memory:
            model(images)
    return int(memory.peak)


class _PeakMemory(TorchDispatchMode):
    """After each PyTorch operation, adds up the sizes of all tensors that operations returned and that still exist.

    Memory that an operation uses only while it runs is not counted.

    Args:
        known: The storages that are not counted, such as those of the weights.

    Attributes:
        peak: The largest sum so far, in bytes.
    """

    def __init__(self, known: set[StorageWeakRef]) -> None:
        super().__init__()
        self.known, self.peak = known, 0
        self._alive: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else (result,):
            if isinstance(made, Tensor):
                self._alive[StorageWeakRef(made.untyped_storage())] = made.untyped_storage().nbytes()
        self._alive = {
            place: size for place, size in self._alive.items() if not place.expired() and place not in self.known
        }
        self.peak = max(self.peak, sum(self._alive.values()))
        return result


def measure_latency(model: nn.Module, image_shape: Sequence[int], batch: int, *, threads: int, seconds: float) -> float:
    """Return the median time of a forward pass in seconds, measured with `torch.utils.benchmark`.

    Args:
        model: A network in evaluation mode.
        image_shape: (channels, height, width).
        batch: The number of images in the batch.
        threads: The number of CPU threads.
        seconds: Forward passes are repeated for at least this many seconds.
    """
    images = torch.zeros(batch, *image_shape, device=next(model.parameters()).device)
    with torch.inference_mode():
        timer = Timer("model(images)", globals={"model": model, "images": images}, num_threads=threads)
        return float(timer.blocked_autorange(min_run_time=seconds).median)
