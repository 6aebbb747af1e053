"""Switch a module to evaluation mode for the time of a ``with`` block."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Switch a module to evaluation mode and record no gradients; afterwards restore every submodule's mode."""
    modes = {inner: inner.training for inner in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for inner, training in modes.items():
            inner.training = training
