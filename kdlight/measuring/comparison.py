"""Teacher and student beside one another on the probe images."""

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.errors import UserError
from kdlight.information.atoms import estimated_atoms
from kdlight.information.discretizer import Symbols
from kdlight.information.entropies import entropy
from kdlight.information.histogram import joint_histogram
from kdlight.measuring.filters import Filtered
from kdlight.measuring.places import Place, require_known, stage_places, taken
from kdlight.measuring.probe import Probe, evaluating, images_for
from kdlight.measuring.symbols import Symboliser, kept_symbols
from kdlight.methods.base.filtered import FilteredDistiller
from kdlight.methods.base.learner import Learner
from kdlight.methods.base.stages import trial
from kdlight.models.frozen import Frozen

#: Values by stage and name.
Report = dict[str, dict[str, float]]
NAMES = ("teacher", "student", "label")


class Comparison:
    """Measures a student again and again against one teacher, whose symbols are made once.

    Args:
        learner: Holds the student and, where there are, filters.
        teacher: On the learner's device.
        probe: The images.
        symboliser: How features become symbols.
        stages: Names of what is measured; None: all shared stages and, unfiltered, the logits.
        target: Name of the further target that the probe is about, for the report; None: the label.
        filtered: Measure f_t(T) and f_s(S); then the teacher's symbols are made anew each time.
        tolerance: Of the decomposition, in bits.
        keep_in: Folder that keeps the teacher's symbols; None: they are not kept.

    Raises:
        UserError: If there is no such stage, or the teacher's features are not finite.
    """

    def __init__(
        self,
        learner: Learner,
        teacher: Frozen,
        probe: Probe,
        symboliser: Symboliser,
        *,
        stages: Sequence[str] | None,
        target: str | None,
        filtered: bool,
        tolerance: float,
        keep_in: Path | None,
    ) -> None:
        self.teacher, self.probe, self.symboliser = teacher, probe, symboliser
        self.filtered, self.target = filtered, target
        self.tolerance = tolerance
        if filtered:
            assert isinstance(learner, FilteredDistiller)
            known = Filtered(learner).names
            wanted = known if stages is None else stages
            require_known(wanted, known)
            self._places = [Place(name, name, name) for name in known if name in wanted]
            self._teacher_symbols: dict[str, Symbols] = {}
            return
        shape = learner.student.image_shape
        of_student, of_teacher = (len(trial(model, shape).stages) for model in (learner.student, teacher.model))
        self._places = stage_places(of_student, of_teacher, stages)
        if keep_in is None:
            self._teacher_symbols = self._of_teacher()
        else:
            identity = [teacher.sha256(), probe.sha256(), symboliser, self._places]
            digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
            self._teacher_symbols = kept_symbols(keep_in / f"pid_teacher_{digest[:12]}.npz", self._of_teacher)

    @property
    def stages(self) -> list[str]:
        """What is measured, as the report names it."""
        return [self.prefix + place.name for place in self._places]

    @property
    def prefix(self) -> str:
        """What sets the names of this comparison apart from those of the stages about the label."""
        return ("filtered_" if self.filtered else "") + (f"{self.target}_" if self.target else "")

    @property
    def samples(self) -> int:
        """How many images are counted."""
        return len(self.probe.target)

    @property
    def classes(self) -> int:
        """How many classes the images are of."""
        return int(self.probe.target.max()) + 1

    def measure(self, learner: Learner) -> Report:
        """The atoms of each stage, and what filters and heads certify; without stages that are not finite."""
        filters = Filtered(learner) if isinstance(learner, FilteredDistiller) else None
        with evaluating(learner):
            fitted = self.symboliser.fitted(lambda batch: self._features(learner, batch, filters), self.probe.fitted)
            symbols = self.symboliser.symbols(
                lambda batch: self._features(learner, batch, filters, counted=True), self.probe.counted, fitted
            )
        target = self.probe.target
        certified = filters is not None and self.target is None  # the heads counted are those of the label
        certificates = filters.certificates(entropy(np.bincount(target) / len(target))) if filters and certified else {}
        symbols = {**symbols, **{f"teacher {name}": values for name, values in self._teacher_symbols.items()}}
        report: Report = {}
        for stage, (name, *_) in zip(self.stages, self._places, strict=True):
            if name in symbols and f"teacher {name}" in symbols:
                counts = joint_histogram(symbols[f"teacher {name}"], symbols[name], target)
                with warnings.catch_warnings():
                    # Of few samples the user hears once, when the run starts, not at every stage and epoch.
                    warnings.filterwarnings("ignore", message=".*fewer than 5 a cell", category=UserWarning)
                    atoms = estimated_atoms(counts, names=NAMES, tolerance=self.tolerance, seed=self.symboliser.seed)
                report[stage] = {**atoms, **certificates.get(name, {})}
        return report

    def _features(
        self, learner: Learner, batch: Batch, filters: Filtered | None, *, counted: bool = False
    ) -> dict[str, Tensor]:
        """The student's features by name, and filtered also the teacher's."""
        student = learner.student.activations(images_for(learner.student, batch))
        maps = {}
        if filters is not None and (self.filtered or counted):
            maps = filters.maps(student, self.teacher.activations(images_for(self.teacher.model, batch)))
        if filters is not None and counted and self.target is None:
            filters.count(maps, batch.target)
        if not self.filtered:
            return {place.name: taken(student, place.student) for place in self._places}
        chosen = {place.name: maps[place.name] for place in self._places}
        return {name: pair[0] for name, pair in chosen.items()} | {
            f"teacher {name}": pair[1] for name, pair in chosen.items()
        }

    def _of_teacher(self) -> dict[str, Symbols]:
        def features(batch: Batch) -> dict[str, Tensor]:
            computed = self.teacher.activations(images_for(self.teacher.model, batch))
            return {place.name: taken(computed, place.teacher) for place in self._places}

        symbols = self.symboliser.symbols(
            features, self.probe.counted, self.symboliser.fitted(features, self.probe.fitted)
        )
        if broken := [place.name for place in self._places if place.name not in symbols]:
            raise UserError(f"PID: the teacher's {', '.join(broken)} is not finite; check the teacher's weights")
        return symbols
