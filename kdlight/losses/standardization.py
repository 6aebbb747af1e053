"""LS: Sun, Ren, Li, Wang, Cao, "Logit Standardization in Knowledge Distillation", CVPR 2024 (arXiv 2403.01427)."""

__all__ = ["standardize"]

import torch
from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision


@widen_half_precision
def standardize(logits: Tensor) -> Tensor:
    """Standardise every row, (z - mean) / (standard deviation + 1e-7), which gives each sample its own temperature.

    The logits of student and teacher are standardised before a loss compares them. As in the authors' code, the
    variance is the sum of squared deviations divided by (classes - 1). With two classes, a row always becomes 0.707 and
    -0.707, so its gradient is 0. Logits that are equal up to rounding give zeros and a zero gradient. A class that is
    masked by a logit of -inf stays masked; mean and deviation are those of the other classes.

    Args:
        logits: (batch, classes), of the teacher or of the student; gradients reach them.
    """
    masked = logits == -torch.inf
    kept = logits.masked_fill(masked, 0.0)
    classes = logits.shape[1] - masked.sum(1, keepdim=True)
    centred = (kept - kept.sum(1, keepdim=True) / classes.clamp(min=1)).masked_fill(masked, 0.0)
    norm: Tensor = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    deviation = norm / (classes - 1).clamp(min=1).to(norm.dtype).sqrt()
    equal = deviation <= 4 * torch.finfo(logits.dtype).eps * kept.detach().abs().amax(1, keepdim=True)
    divisor = (deviation + 1e-7).masked_fill(equal, torch.inf)
    return (centred / divisor).masked_fill(masked, -torch.inf)
