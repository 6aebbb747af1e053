"""Evaluation mode for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode without gradients; afterwards every submodule is in the mode it was in."""
    modes = {inner: inner.training for inner in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for inner, training in modes.items():
            inner.training = training
