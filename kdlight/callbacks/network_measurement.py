"""Measure how much information about the label the student and the teacher of a method share.

The measure is a partial information decomposition (PID). It splits what the features of both networks tell about the
label into redundant information (both networks tell it), unique information of either network, and synergistic
information (only both networks together tell it).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdlight.measuring.comparison import Comparison
from kdlight.measuring.feature_pairs import pair_features
from kdlight.measuring.filtered_comparison import FilteredComparison, list_filtered_stages
from kdlight.measuring.probe import Probe
from kdlight.measuring.repeated_discretizer import RepeatedDiscretizer
from kdlight.measuring.report import Report
from kdlight.methods.base.filtered_distiller import FilteredDistiller
from kdlight.methods.base.learner import Learner
from kdlight.methods.base.stages import run_blank_images
from kdlight.models.frozen import Frozen


class NetworkMeasurement:
    """Compares the features of a method's student with those of its teacher.

    The methods RID and TED train filters and heads. A filter is a small network that transforms a feature map of the
    student or the teacher. A head predicts the label from a filtered map. With `certifies`, the report of a stage that
    has filters also contains the values of `FilteredComparison.certify`. One of these values is a lower bound of the
    information that the teacher's filtered map has about the label. This bound is computed from the cross-entropy of a
    head.

    Args:
        method: The method with its teacher.
        probe: The images that both networks see.
        discretizer: Turns features into symbols (integers, such as cluster indices).
        stages: Names of the stages that are compared; None: the deepest stage and the logits or, if `filtered` is true,
            all stages with filters.
        filtered: Compare the outputs of the method's filters instead of the networks' own features.
        certifies: Report the values of `FilteredComparison.certify`, too; ignored if `filtered` is true. It has to be
            false if the probe has another target in place of the label, because the heads are trained to predict the
            label.
        keep_in: The folder in which the teacher's symbols are stored; None: they are not stored. Ignored if `filtered`
            is true.
        tolerance: Each decomposition is computed iteratively until its error is at most this many bits.
        details: Also compute the values of `compute_details`, such as redundant information by other definitions.

    Attributes:
        probe: The images.
        stages: Names of the stages that are compared.
    """

    def __init__(
        self,
        method: Learner,
        probe: Probe,
        discretizer: RepeatedDiscretizer,
        stages: Sequence[str] | None,
        *,
        filtered: bool,
        certifies: bool,
        keep_in: Path | None,
        tolerance: float,
        details: bool,
    ) -> None:
        teacher: Any = getattr(method, "teacher", None)
        assert isinstance(teacher, Frozen)
        teacher.convert(lambda tensor: tensor.to(method.device))
        self.probe, self.filters = probe, None
        exact: dict[str, Any] = {"tolerance": tolerance, "details": details}
        self.comparison: Comparison | FilteredComparison
        if filtered:
            assert isinstance(method, FilteredDistiller)
            self.comparison = FilteredComparison(teacher, probe, discretizer, method, stages, **exact)
            self.stages = self.comparison.stages
            return
        shape = method.student.image_shape
        of_student, of_teacher = (
            len(run_blank_images(model, shape).stages) for model in (method.student, teacher.model)
        )
        places = pair_features(of_student, of_teacher, stages)
        self.comparison = Comparison(teacher, probe, discretizer, places, keep_in=keep_in, **exact)
        self.stages = [place.name for place in places]
        if isinstance(method, FilteredDistiller) and certifies:
            both = [name for name in list_filtered_stages(method) if name in self.stages]
            if both:
                self.filters = FilteredComparison(teacher, probe, discretizer, method, both, **exact)

    @property
    def clusters(self) -> dict[str, int]:
        """The number of the teacher's symbols at each stage, by the name of the stage; empty if `filtered` is true.

        Raises:
            UserError: If the teacher's features are not finite.
        """
        return {} if isinstance(self.comparison, FilteredComparison) else self.comparison.clusters

    def measure(self, method: Learner) -> Report:
        """Measure the method's student.

        Raises:
            UserError: If the teacher's features are not finite.
        """
        if isinstance(self.comparison, FilteredComparison):
            return self.comparison.measure(method)
        report = self.comparison.measure(method.student)
        if self.filters is None:
            return report
        certified = self.filters.certify(method)
        stages = {
            name: replace(found, further={**found.further, **certified.get(name, {})})
            for name, found in report.stages.items()
        }
        return replace(report, stages=stages)
