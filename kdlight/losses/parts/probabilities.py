"""Class probabilities at a temperature, in log space."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlight.errors import UserError
from kdlight.losses.parts.shapes import require_same_shape


def to_log_probabilities(logits: Tensor, temperature: float | Tensor) -> Tensor:
    """Compute ``log softmax(logits / temperature)`` over the classes, with finite values only.

    A class that is masked by a logit of -inf gets a very low logarithm instead of -inf. Its probability is still 0, but
    a difference of two such logarithms is 0 instead of NaN.

    Args:
        logits: (batch, classes).
        temperature: Positive; a scalar tensor may carry a gradient.

    Raises:
        UserError: If a plain number is not positive and finite. A tensor's value is not checked, because reading it
            would wait for the device.
    """
    if not isinstance(temperature, Tensor) and not 0 < temperature < math.inf:
        raise UserError(f"expected a finite, positive temperature, got {temperature}; the literature uses 1 to 20")
    scaled = logits / temperature
    return F.log_softmax(scaled.clamp(min=torch.finfo(scaled.dtype).min / 4), dim=1)


def to_log_probability_pair(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Compute `to_log_probabilities` of student and teacher; no gradient reaches the teacher's logits.

    Raises:
        UserError: If the shapes differ, or the temperature is a plain number that is not positive and finite.
    """
    require_same_shape(student_logits, teacher_logits)
    return to_log_probabilities(student_logits, temperature), to_log_probabilities(teacher_logits.detach(), temperature)
