"""Measure how much information students share with a teacher about the label, on a fixed set of images (the probe)."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.errors import UserError
from kdlight.information.discretizer import Symbols
from kdlight.information.entropies import entropy
from kdlight.measuring.feature_pairs import FeaturePair, get_features
from kdlight.measuring.probe import Probe, move_images
from kdlight.measuring.repeated_discretizer import RepeatedDiscretizer, load_or_compute_symbols
from kdlight.measuring.report import Report, StageReport, bound_informations
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.evaluating import evaluating
from kdlight.models.frozen import Frozen


class Comparison:
    """Measures any number of students against one teacher.

    The features of both networks are turned into symbols (integers, such as cluster indices), and the information that
    the symbols have about the label is decomposed into redundant, unique and synergistic information (`estimate_pid`).
    The teacher's symbols are computed once, when they are first needed.

    Args:
        teacher: The teacher, on the device where it should run.
        probe: The images.
        discretizer: Turns features into symbols. A student's features get as many clusters as the teacher's features
            of the same pair. If a student's features are in several pairs, the teacher's features of these pairs may
            have different numbers of clusters; then the smallest number is taken.
        pairs: The pairs of teacher and student features that are compared.
        tolerance: The bound on the error of each decomposition, in bits, at which its solver stops.
        details: Whether to add the values that `compute_details` computes.
        keep_in: Folder in which the teacher's symbols are stored; None: do not store them.
    """

    def __init__(
        self,
        teacher: Frozen,
        probe: Probe,
        discretizer: RepeatedDiscretizer,
        pairs: Sequence[FeaturePair],
        *,
        tolerance: float = 1e-5,
        details: bool = False,
        keep_in: Path | None = None,
    ) -> None:
        self.teacher, self.probe, self.discretizer, self.pairs = teacher, probe, discretizer, pairs
        self.tolerance, self.details = tolerance, details
        self.keep_in = keep_in

    @property
    def clusters(self) -> dict[str, int]:
        """The number of clusters of the teacher's features in each pair, by the name of the pair.

        Raises:
            UserError: If the teacher's features are not finite.
        """
        return {pair.name: self._teacher_side.clusters[str(pair.teacher)] for pair in self.pairs}

    def measure(self, student: Classifier | Frozen) -> Report:
        """Decompose what each pair of features tells about the label.

        A pair is left out if the student's features are not finite.

        Raises:
            UserError: If the teacher's features are not finite.
        """
        pairs = {str(pair.student): pair for pair in self.pairs}
        sides: dict[str, int] = {}
        for pair in self.pairs:
            bearable = self._teacher_side.clusters[str(pair.teacher)]
            sides[str(pair.student)] = min(sides.get(str(pair.student), bearable), bearable)
        model = student.model if isinstance(student, Frozen) else student
        loss = _CrossEntropyMean()

        def compute_features(batch: Batch) -> dict[str, Tensor]:
            computed = student.activations(move_images(model, batch))
            loss.count(computed, batch)
            return {name: get_features(computed, pair.student) for name, pair in pairs.items()}

        with evaluating(model), disable_tf32():
            fitted = self.discretizer.fit(compute_features, self.probe.fitted, self.probe.samples, sides)
            loss = _CrossEntropyMean()
            symbols = self.discretizer.transform(compute_features, self.probe.counted, fitted)
        stages = {
            pair.name: self._report_stage(self._teacher_side.symbols[str(pair.teacher)], symbols[str(pair.student)])
            for pair in self.pairs
            if str(pair.student) in symbols
        }
        return Report(stages, self._compute_bounds(loss.mean))

    def _compute_bounds(self, student_loss: float) -> dict[str, float]:
        of_label = compute_label_entropy(self.probe)
        # A loss is not finite if the logits are not, or if a label is not one of their classes.
        if not math.isfinite(self._teacher_side.loss + student_loss):
            return {"label_entropy": of_label}
        return bound_informations(of_label, self._teacher_side.loss, student_loss)

    def _report_stage(self, of_teacher: Symbols, of_student: Symbols) -> StageReport:
        return measure_stage(
            of_teacher,
            of_student,
            self.probe.target,
            tolerance=self.tolerance,
            seed=self.discretizer.seed,
            details=self.details,
        )

    @cached_property
    def _teacher_side(self) -> "_TeacherSide":
        if self.keep_in is None:
            kept = self._symbolise_teacher()
        else:
            teachers = [str(pair.teacher) for pair in self.pairs]
            identity = [self.teacher.sha256(), self.probe.sha256(), str(self.discretizer), teachers]
            digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
            kept = load_or_compute_symbols(self.keep_in / f"pid_teacher_{digest[:12]}.npz", self._symbolise_teacher)
        loss = float(kept.pop(_LOSS))
        clusters = {name: int(kept.pop(_CLUSTERS + name)) for name in [*kept] if not name.startswith(_CLUSTERS)}
        return _TeacherSide(kept, clusters, loss)

    def _symbolise_teacher(self) -> dict[str, Any]:
        pairs = {str(pair.teacher): pair for pair in self.pairs}
        loss = _CrossEntropyMean()

        def compute_features(batch: Batch) -> dict[str, Tensor]:
            computed = self.teacher.activations(move_images(self.teacher.model, batch))
            loss.count(computed, batch)
            return {name: get_features(computed, pair.teacher) for name, pair in pairs.items()}

        with disable_tf32():
            fitted = self.discretizer.fit(compute_features, self.probe.fitted, self.probe.samples)
            loss = _CrossEntropyMean()
            symbols = self.discretizer.transform(compute_features, self.probe.counted, fitted)
        if broken := [pair.name for name, pair in pairs.items() if name not in symbols]:
            raise UserError(
                f"PID: the teacher's features of {', '.join(broken)} are not finite; check the teacher's weights"
            )
        clusters = {_CLUSTERS + name: np.array(parts[0].clusters) for name, parts in fitted.items()}
        return {**symbols, **clusters, _LOSS: np.array(loss.mean)}


#: Keys in the file of the teacher's symbols. The name of the features is appended to `_CLUSTERS`.
_CLUSTERS, _LOSS = "clusters of ", "cross-entropy"


class _TeacherSide(NamedTuple):
    """What a comparison has to know of the teacher.

    Attributes:
        symbols: The symbols (repeats, samples) of each kind of features, by the features' name.
        clusters: The number of clusters of each kind of features, by the features' name.
        loss: The mean cross-entropy of the logits, in bits.
    """

    symbols: Mapping[str, Symbols]
    clusters: Mapping[str, int]
    loss: float


def measure_stage(
    of_teacher: Symbols, of_student: Symbols, target: Symbols, *, tolerance: float, seed: int, details: bool
) -> StageReport:
    """Decompose the information that the symbols of teacher and student have about the target.

    Args:
        of_teacher: The teacher's symbols, (symbolisations, samples); each row is from another clustering.
        of_student: The student's symbols, of the same shape.
        target: Classes, (samples,).
        tolerance: The bound on the error of each decomposition, in bits, at which its solver stops.
        seed: Seed of the random halves and quarters of the samples in `estimate_pid`.
        details: Whether to add the values that `compute_details` computes.
    """
    # These modules import scipy, which takes long. So a run imports them only when it measures.
    from kdlight.information.estimates import estimate_pid
    from kdlight.measuring.details import compute_details

    pid = estimate_pid(of_teacher, of_student, target, tolerance=tolerance, seed=seed)
    return StageReport(pid, compute_details(of_teacher, of_student, target, tolerance=tolerance) if details else {})


def compute_label_entropy(probe: Probe) -> float:
    """Return the entropy H(Y) of the labels of `probe.counted`, in bits."""
    return entropy(np.bincount(probe.target) / probe.samples)


class _CrossEntropyMean:
    """The mean cross-entropy of a network's logits over all samples counted so far."""

    def __init__(self) -> None:
        self._sum, self._samples = 0.0, 0

    def count(self, computed: Activations, batch: Batch) -> None:
        """Add a batch. If a label is not one of the classes of the logits, the mean becomes NaN."""
        logits = computed.logits.float()
        fits = int(batch.target.max()) < logits.shape[1] and int(batch.target.min()) >= 0
        loss = F.cross_entropy(logits, batch.target.to(logits.device), reduction="sum") if fits else math.nan
        self._sum += float(loss)
        self._samples += len(batch.target)

    @property
    def mean(self) -> float:
        """The mean over the samples, in bits; NaN if nothing was counted or a batch has no cross-entropy."""
        return self._sum / self._samples / math.log(2) if self._samples else math.nan


@contextmanager
def disable_tf32() -> Iterator[None]:
    """Turn off TensorFloat-32, because it changes features by about 1e-3 and therefore changes some of the symbols."""
    matmul = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)
