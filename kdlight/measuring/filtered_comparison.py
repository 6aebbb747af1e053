"""Measure what the filtered features of the methods RID and TED tell about the label.

These methods learn filters and heads. The filter f_t transforms the teacher's features T, and the filter f_s transforms
the student's features S. The heads predict the label Y from filtered features.

Dissanayake et al., AISTATS 2025 (arXiv 2411.07483), section 4: the redundant information is the information about Y
that T and S share. RID bounds it from below by the intersection information of Griffith and Ho. This is the largest
I(Y;Q) of all variables Q that meet two constraints. The first is I(Y;Q|T) = 0: Q tells nothing about Y beyond what T
tells. The second is I(Y;Q|S) = 0, the same for S. RID takes Q = f_t(T), which meets the first constraint. In the second
constraint, RID replaces S by f_s(S), which gives I(Y; f_t(T) | f_s(S)) = 0. Its training does not enforce this
constraint, but only makes the distance between f_t(T) and f_s(S) small.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.measuring.assumption import ProbeSamples, estimate_residual_information, measure_residual_gain
from kdlight.measuring.comparison import compute_label_entropy, disable_tf32, measure_stage
from kdlight.measuring.feature_pairs import require_known_names
from kdlight.measuring.probe import Probe, move_images
from kdlight.measuring.repeated_discretizer import RepeatedDiscretizer
from kdlight.measuring.report import Report
from kdlight.methods.base.filtered_distiller import FilteredDistiller
from kdlight.methods.base.learner import Learner
from kdlight.models.evaluating import evaluating
from kdlight.models.frozen import Frozen


def list_filtered_stages(method: FilteredDistiller) -> list[str]:
    """Return the names of the stages that have filters."""
    return [pair.name for pair in method.pairs]


class FilteredComparison:
    """Measures the filtered features f_t(T) and f_s(S) of a method.

    What they tell about the label is decomposed into redundant information (both tell it), unique information of either
    one, and synergistic information (only both together tell it).

    Training changes both filters. Therefore every measurement turns the filtered features of both networks into symbols
    (integers, such as cluster indices) anew.

    Args:
        teacher: The teacher, on the device where it should run.
        probe: The images on which the features are computed.
        discretizer: Turns features into symbols.
        method: The method that has the filters.
        stages: Names of the stages to measure; None: all that have filters.
        tolerance: Each decomposition is computed iteratively until its error is at most this many bits.
        details: Whether to add the values that `kdlight.measuring.details` computes.

    Raises:
        UserError: If the method has no filters for one of the stages.
    """

    def __init__(
        self,
        teacher: Frozen,
        probe: Probe,
        discretizer: RepeatedDiscretizer,
        method: FilteredDistiller,
        stages: Sequence[str] | None = None,
        *,
        tolerance: float = 1e-5,
        details: bool = False,
    ) -> None:
        known = list_filtered_stages(method)
        require_known_names(stages or (), known)
        self.stages = [name for name in known if stages is None or name in stages]
        self.teacher, self.probe, self.discretizer = teacher, probe, discretizer
        self.tolerance, self.details = tolerance, details

    def measure(self, method: Learner) -> Report:
        """Decompose what f_t(T) and f_s(S) tell about the label, for each stage whose features are finite."""
        assert isinstance(method, FilteredDistiller)

        def compute_features(batch: Batch) -> dict[str, Tensor]:
            maps = self._compute_maps(method, batch)
            of_teacher = {f"teacher {name}": maps[name][0] for name in self.stages}
            return of_teacher | {name: maps[name][1] for name in self.stages}

        with evaluating(method), disable_tf32():
            fitted = self.discretizer.fit(compute_features, self.probe.fitted, self.probe.samples)
            symbols = self.discretizer.transform(compute_features, self.probe.counted, fitted)
        target = self.probe.target
        options: dict[str, Any] = {"tolerance": self.tolerance, "seed": self.discretizer.seed, "details": self.details}
        stages = {
            name: measure_stage(symbols[f"teacher {name}"], symbols[name], target, **options)
            for name in self.stages
            if name in symbols and f"teacher {name}" in symbols
        }
        return Report(stages, {"label_entropy": compute_label_entropy(self.probe)})

    def certify(self, method: Learner) -> dict[str, dict[str, float]]:
        """Bound I(Y; f_t(T)) from below for each stage, and test RID's constraint I(Y; f_t(T) | f_s(S)) = 0.

        Values that are not finite are left out. ``certified_information`` is H(Y) - CE(g_t(f_t(T))) in bits, where CE
        is the cross-entropy and g_t the head for the teacher's filter. It is at most I(Y; f_t(T)) (Barber and Agakov,
        2003). ``constraint_slack`` is E||f_t(T) - f_s(S)||^2 divided by the variance of f_t(T), both summed over the
        elements. It is 0 if f_s(S) = f_t(T), which meets RID's constraint. It is 1 if f_s(S) predicts f_t(T) no
        better than the constant E f_t(T) does.

        If the constraint is met, the certified information is a lower bound of the redundant information. A slack near
        0 does not guarantee that the constraint is met. The values whose keys begin with ``assumption_`` measure how
        far the constraint is violated (`kdlight.measuring.assumption`).
        """
        assert isinstance(method, FilteredDistiller)
        sums = {name: _CertificateSums() for name in self.stages}
        heads = dict(zip(list_filtered_stages(method), method.teacher_heads, strict=True))

        pooled = _PooledMaps(), _PooledMaps()

        def compute_residuals(batch: Batch) -> dict[str, Tensor]:
            maps = self._compute_maps(method, batch)
            rest = {f"rest {name}": maps[name][0] - maps[name][1] for name in self.stages}
            return rest | {name: maps[name][1] for name in self.stages}

        def compute_fitted(batch: Batch) -> dict[str, Tensor]:
            return pooled[0].add(compute_residuals(batch))

        def compute_counted(batch: Batch) -> dict[str, Tensor]:
            features = pooled[1].add(compute_residuals(batch))
            for name in self.stages:
                of_student = features[name]
                sums[name].count(heads[name], of_student + features[f"rest {name}"], of_student, batch.target)
            return features

        with evaluating(method), disable_tf32():
            fitted = self.discretizer.fit(compute_fitted, self.probe.fitted, self.probe.samples)
            symbols = self.discretizer.transform(compute_counted, self.probe.counted, fitted)
        found = {name: sums[name].compute_certificates(compute_label_entropy(self.probe)) for name in self.stages}
        targets = torch.cat([batch.target for batch in self.probe.fitted]).numpy(), self.probe.target
        for name in self.stages:
            if name in symbols and f"rest {name}" in symbols:
                residual, filtered = symbols[f"rest {name}"], symbols[name]
                found[name] |= estimate_residual_information(residual, filtered, targets[1], self.discretizer.seed)
                sides = (
                    ProbeSamples(means.join(f"rest {name}"), means.join(name), target)
                    for means, target in zip(pooled, targets, strict=True)
                )
                found[name] |= measure_residual_gain(*sides)
        return found

    def _compute_maps(self, method: FilteredDistiller, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """Compute f_t(T) and f_s(S) by stage, (batch, channels, height, width) each."""
        assert isinstance(method, Learner)
        student = method.student.activations(move_images(method.student, batch))
        teacher = self.teacher.activations(move_images(self.teacher.model, batch))
        maps = {}
        for place, name in enumerate(list_filtered_stages(method)):
            if name in self.stages:
                of_teacher = method.filter_teacher(place, student, teacher)
                maps[name] = (of_teacher.float(), method.filter_student(place, student, teacher).float())
        return maps


class _CertificateSums:
    """Sums over images, from which the certified information and the constraint slack of one stage are computed."""

    def __init__(self) -> None:
        self._samples = 0
        self._sums: list[Tensor] = [torch.zeros((), dtype=torch.float64)] * 4

    def count(self, head: nn.Module, of_teacher: Tensor, of_student: Tensor, target: Tensor) -> None:
        """Add a batch."""
        self._samples += len(target)
        weight = next(head.parameters())
        logits = head(of_teacher.to(weight.dtype)).float()
        loss = F.cross_entropy(logits, target.to(of_teacher.device), reduction="sum")
        batch = (loss, (of_teacher - of_student).square().sum(), of_teacher.square().sum(), of_teacher.sum(dim=0))
        self._sums = [old + new.cpu().double() for old, new in zip(self._sums, batch, strict=True)]

    def compute_certificates(self, of_label: float) -> dict[str, float]:
        """Return the certified information and the slack, which `FilteredComparison.certify` explains."""
        loss, distance, square, total = self._sums
        variance = square - total.square().sum() / self._samples
        found = {
            "certified_information": of_label - float(loss) / self._samples / math.log(2),
            "constraint_slack": float(distance / variance),
        }
        return {key: value for key, value in found.items() if math.isfinite(value)}


class _PooledMaps:
    """The mean of each feature map over its positions, by name."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Tensor]] = {}

    def add(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add the maps of a batch, and return them unchanged."""
        for name, maps in features.items():
            self._parts.setdefault(name, []).append(maps.flatten(2).mean(dim=2).cpu())
        return features

    def join(self, name: str) -> npt.NDArray[np.float32]:
        """Return the means of all batches, (samples, channels)."""
        return torch.cat(self._parts[name]).numpy()
