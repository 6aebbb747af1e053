"""LS: Sun, Ren, Li, Wang, Cao, "Logit Standardization in Knowledge Distillation", CVPR 2024 (arXiv 2403.01427)."""

__all__ = ["standardize"]

from torch import Tensor

from kdlight.losses.parts.precision import at_least_float32


@at_least_float32
def standardize(logits: Tensor) -> Tensor:
    """(z - mean) / (standard deviation + 1e-7) of every row: each sample's own temperature.

    Applied to student and teacher before any loss on logits. The deviation is the one with classes - 1, as in the
    authors' code. Equal logits give zeros and a zero gradient; with two classes a row is +-0.707 and has no gradient.

    Args:
        logits: (batch, classes). A gradient reaches it: it may be the student's.
    """
    return (logits - logits.mean(dim=1, keepdim=True)) / (logits.std(dim=1, keepdim=True) + 1e-7)
