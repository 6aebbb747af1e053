"""Measure whether predicted probabilities match accuracies, and fit the temperature that makes them match better.

C. Guo et al., "On Calibration of Modern Neural Networks", 2017, https://arxiv.org/abs/1706.04599.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

BINS = 15


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """Return the temperature that minimises the cross-entropy on held-out images (section 4.2 of the paper).

    Args:
        logits: (n, classes).
        target: (n,) class numbers.
    """
    logarithm = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logarithm], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(logits.double() / logarithm.exp(), target)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return float(logarithm.detach().exp())


def measure_calibration(logits: Tensor, target: Tensor, temperature: float = 1.0) -> dict[str, float]:
    """Return accuracy, cross-entropy in nats, and the expected calibration error.

    For the calibration error, images are sorted into 15 bins by their largest probability. In each bin, the mean of
    these probabilities is compared with the accuracy. The error is the mean absolute difference, weighted by the number
    of images in each bin.

    Args:
        logits: (n, classes).
        target: (n,) class numbers.
        temperature: The number by which the logits are divided.
    """
    scaled, classes = logits / temperature, logits.shape[1]
    return {
        "accuracy": float(multiclass_accuracy(logits, target, classes, average="micro")),
        "loss": float(F.cross_entropy(scaled, target)),
        "calibration_error": float(multiclass_calibration_error(scaled.softmax(1), target, classes, n_bins=BINS)),
    }
