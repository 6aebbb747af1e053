"""Reduce the values of elements or of samples to one scalar."""

from typing import Literal, TypeAlias

from torch import Tensor

from kdlight.errors import UserError

Reduction: TypeAlias = Literal["mean", "sum"]


def reduce_elements(elements: Tensor, reduction: Reduction) -> Tensor:
    """Reduce (batch, ...) to a scalar: "mean" over all elements, or "sum" within a sample and mean over the batch.

    Raises:
        UserError: If ``reduction`` is neither "mean" nor "sum".
    """
    if reduction == "mean":
        return elements.mean()
    if reduction == "sum":
        return elements.flatten(1).sum(1).mean()
    raise UserError(f"expected reduction 'mean' or 'sum', got {reduction!r}; pass one of the two")


def average_labelled(values: Tensor, target: Tensor) -> Tensor:
    """Average per-sample values (batch,) over the samples with a label; a target of -1 marks a sample without one.

    If no sample has a label, the result and its gradients are 0.
    """
    labelled = target >= 0
    return (values * labelled).sum() / labelled.sum().clamp(min=1)
