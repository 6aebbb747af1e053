"""Partial information decomposition as a torchmetrics metric."""

__all__ = ["PartialInformationDecomposition"]

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from kdlight.errors import UserError
from kdlight.information.broja_solver import broja
from kdlight.information.discretizer import Discretizer

Source = int | Discretizer


class PartialInformationDecomposition(Metric):
    """Splits the information that two sources provide about a target into the four atoms of BROJA, in bits.

    BROJA is the decomposition of Bertschinger et al., 2014 (arXiv:1311.2852). Its atoms are redundant information (both
    sources tell it), unique information of either source, and synergistic information (only both together tell it).

    A source gives symbols (integers), or features that a `Discretizer` turns into symbols. ``update`` adds a batch to
    the joint histogram of the sources' symbols and the target; histograms can be summed exactly over batches and
    processes. ``compute`` decomposes the information in the histogram with ``kdlight.information.broja``. Symbols are
    counted on the metric's device; features are copied to the CPU, where the discretizer runs. For estimates with 95 %
    intervals, use the counts: ``kdlight.information.estimate_pid(*expand_histogram(metric.counts.cpu().numpy()))``.

    Samples whose target is negative are unlabelled, and they are left out.

    Example::

        metric = PartialInformationDecomposition(10, Discretizer(clusters=10).fit(features_of_training), 10)
        for images, target in batches:
            metric.update(teacher(images).argmax(1), student.features(images), target)
        metric.compute()["redundant"]

    Args:
        first: The number of symbols of the first source, or the fitted discretizer of its features.
        second: The same for the second source.
        target: The number of classes.
        tolerance: The solver stops when the error of the decomposition is at most this bound, in bits.
        options: Passed on to `torchmetrics.Metric`.

    Raises:
        UserError: If a number is below 1, or a discretizer is not fitted.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    counts: Tensor
    outside: Tensor

    def __init__(self, first: Source, second: Source, target: int, *, tolerance: float = 1e-6, **options: Any) -> None:
        super().__init__(**options)
        self.sources = (first, second)
        self.tolerance = tolerance
        sizes = [
            _count_symbols(source, name) for source, name in ((first, "first"), (second, "second"), (target, "target"))
        ]
        self.add_state("counts", torch.zeros(sizes, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("outside", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, first: Tensor, second: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            first: Symbols from 0, (batch,) integers; or features (batch, ...) if the source is a discretizer.
            second: The same for the second source.
            target: Classes from 0, (batch,) integers; below 0 for an unlabelled sample.

        Raises:
            UserError: If a shape or dtype is wrong. Symbols out of range are reported by `compute`, because
                checking them here would wait for the device.
        """
        given = (first, second)
        symbols = [
            values if isinstance(source, int) else torch.from_numpy(source.transform(_to_array(values)))
            for source, values in zip(self.sources, given, strict=True)
        ]
        cell = torch.zeros_like(target)
        inside = torch.ones_like(target, dtype=torch.bool)
        for name, values, size in zip(
            ("first", "second", "target"), (*symbols, target), self.counts.shape, strict=True
        ):
            if values.shape != target.shape or values.ndim != 1 or values.is_floating_point():
                features = values.is_floating_point() and name != "target"
                raise UserError(
                    f"{name}: expected integers of shape ({len(target)},), got {values.dtype} of {tuple(values.shape)}"
                    + ("; features need a fitted Discretizer in the metric" if features else "")
                )
            values = values.to(target.device)
            inside &= (values >= 0) & (values < size)
            cell = cell * size + values.clamp(0, size - 1)
        labelled = target >= 0
        self.counts.view(-1).index_add_(0, cell.to(self.counts.device), (inside & labelled).to(self.counts))
        self.outside += (~inside & labelled).sum().to(self.outside)

    def compute(self) -> dict[str, Tensor]:
        """Return ``redundant``, ``unique_first``, ``unique_second``, ``synergistic``, and their error bound ``gap``.

        Raises:
            UserError: If nothing was counted, or symbols were out of range.
        """
        if outside := int(self.outside):
            sizes = " x ".join(map(str, self.counts.shape))
            raise UserError(
                f"{outside} samples had symbols out of range: the metric was built for {sizes} symbols (first x second "
                "x target), numbered from 0; build it with numbers above the largest symbols"
            )
        counts = self.counts.cpu().numpy()
        if not counts.any():
            raise UserError("no sample was counted: call update with labelled samples before compute")
        pid = broja(counts / counts.sum(), tolerance=self.tolerance)
        return {name: torch.tensor(value, device=self.counts.device) for name, value in pid._asdict().items()}


def _count_symbols(source: Source, name: str) -> int:
    if isinstance(source, int):
        if source < 1:
            raise UserError(f"{name}: expected at least 1 symbol, got {source}")
        return source
    if not source.is_fitted:
        raise UserError(f"{name}: expected a fitted Discretizer; fit it first, on samples that are not measured")
    return source.num_symbols


def _to_array(features: Tensor) -> np.ndarray[Any, np.dtype[Any]]:
    return features.detach().float().cpu().numpy()
