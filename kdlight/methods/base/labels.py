"""Batches in which some or all samples have no label, and their cross-entropy."""

import torch.nn.functional as F
from torch import Tensor

from kdlight.data.base.batch import Batch

UNLABELLED = -1


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Average the cross-entropy over the labelled samples of a batch, in nats; 0 if no sample is labelled.

    Args:
        logits: (batch, classes).
        target: (batch,), -1 for an unlabelled sample.
    """
    total = F.cross_entropy(logits.float(), target, ignore_index=UNLABELLED, reduction="sum")
    return total / (target != UNLABELLED).sum().clamp(min=1)


def replace_empty_batch(batch: Batch) -> Batch:
    """Put an unlabelled image of zeros, which no metric counts, into an empty batch; return other batches unchanged.

    If there are fewer images than processes, some process gets an empty batch. This process, too, has to run the
    network, because under FSDP all processes take part in a forward pass.
    """
    if len(batch.images):
        return batch
    images = batch.images.new_zeros(1, *batch.images.shape[1:])
    return batch._replace(images=images, target=batch.target.new_full((1,), UNLABELLED))
