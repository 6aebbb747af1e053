"""Boolean masks (batch, classes) that split the classes of every sample into two sets."""

import torch
from torch import Tensor

from kdlight.errors import UserError


def mask_target(logits: Tensor, target: Tensor) -> Tensor:
    """Mark the target class of every sample.

    For a target of -1 (a sample without a label), class 0 is marked. The caller has to leave such samples out, for
    example by `average_labelled`.

    Args:
        logits: (batch, classes); only its shape is used.
        target: (batch,) class numbers.

    Raises:
        UserError: If ``target`` does not have the shape (batch,).
    """
    if target.shape != logits.shape[:1]:
        raise UserError(
            f"expected one class number for each row of logits {tuple(logits.shape)}, got a target of shape "
            f"{tuple(target.shape)}; pass shape (batch,)"
        )
    return torch.zeros_like(logits, dtype=torch.bool).scatter(1, target.clamp(min=0)[:, None], True)


def fill_outside(values: Tensor, mask: Tensor) -> Tensor:
    """Replace the values outside a mask by the lowest number of their type.

    With -inf instead, the softmax of a row that has no element in the mask would be NaN, and so would its gradients.

    Args:
        values: (batch, classes).
        mask: Boolean, of the same shape.
    """
    return values.masked_fill(~mask, torch.finfo(values.dtype).min)


def mask_top(logits: Tensor, size: int) -> Tensor:
    """Mark the ``size`` classes with the highest logits.

    Args:
        logits: (batch, classes).
        size: From 1 to the number of classes.

    Raises:
        UserError: If ``size`` is below 1 or above the number of classes.
    """
    if not 1 <= size <= logits.shape[1]:
        raise UserError(f"expected a set of 1 to {logits.shape[1]} classes, got {size}; choose a size in this range")
    return torch.zeros_like(logits, dtype=torch.bool).scatter(1, logits.topk(size, dim=1).indices, True)
