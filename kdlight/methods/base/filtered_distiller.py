"""The base of RID (redundant information distillation) and TED (task-aware layer-wise distillation).

Filters transform the feature maps of both networks. Heads predict the label from the filtered maps, so that the filters
can learn from the heads' cross-entropy.
"""

__all__ = ["FilteredDistiller"]

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from kdlight.methods.base.feature_distiller import (
    FeatureDistiller,
    FeatureDistillerArguments,
    FeatureDistillerArgumentsWithoutCE,
)
from kdlight.methods.base.stages import StagePair, pair_stages
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.zoo.initialisation import draw_kaiming_uniform
from kdlight.unpack import Unpack

Initialisation = Literal["torch", "authors"]


class FilteredDistillerArgumentsWithoutCE(FeatureDistillerArgumentsWithoutCE, total=False):
    """The arguments of `FilteredDistiller` without ``ce_weight``, for methods that declare ``ce_weight`` themselves."""

    stages: Sequence[int] | None
    initialisation: Initialisation


class FilteredDistillerArguments(FeatureDistillerArguments, FilteredDistillerArgumentsWithoutCE, total=False):
    """The arguments that methods pass on to `FilteredDistiller`, which explains them and has their defaults."""


class FilteredDistiller(FeatureDistiller):
    """A method that filters the student's map S and the teacher's map T at each stage, and compares f_s(S) with f_t(T).

    The layers are those of the RID authors' code. If the teacher's map has t channels and the student's map has s, then
    f_t is a 1x1 convolution from t to t channels, batch norm, ReLU, and a 1x1 convolution from t to s channels. f_s has
    the same layers, but its convolutions go from s to 2s and from 2s to s channels. A head flattens the filtered map
    and applies ReLU and one linear layer.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        stages: Which pairs of stages to compare: 0 is the shallowest pair, -1 the deepest; null: all pairs.
            `pair_stages` pairs the deepest stages of the two networks, then their second deepest stages, and so on.
        initialisation: How the weights of filters and heads are drawn. "torch": by torch's own rule for such layers.
            "authors": from He's uniform distribution with ``mode="fan_out"`` (`torch.nn.init.kaiming_uniform_`) and
            with zero biases, as in the RID authors' code. For K classes and a filtered map of n numbers, "authors"
            makes the weights of a head sqrt(6 n / K) times as large as "torch" does: about 50 times for 10 classes and
            a map of 64 x 8 x 8. With six labelled digits per class, three seeds and 120 epochs (``kdlight ablate
            digits_initialisation.yaml``), the test accuracy with "authors" minus that with "torch" is +1.57 points for
            RID (95 % interval +0.14 to +3.01) and -0.46 points for TED (-2.89 to +1.96). This is too little evidence to
            replace torch's rule as the default.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    reads = ("logits", "member_logits", "stages")
    takes_ensembles = True
    #: Whether the student's filters have heads, too. The teacher's filters always have heads.
    has_student_heads: ClassVar[bool] = False

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        stages: Sequence[int] | None = None,
        initialisation: Initialisation = "torch",
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.initialisation = initialisation
        self.pairs = pair_stages(self, stages)
        self.teacher_filters, self.student_filters = nn.ModuleList(), nn.ModuleList()
        self.teacher_heads, self.student_heads = nn.ModuleList(), nn.ModuleList()
        for pair in self.pairs:
            of_student, of_teacher = pair.student_shape[0], pair.teacher_shape[0]
            self.teacher_filters.append(self._initialise(build_bottleneck_filter(of_teacher, of_teacher, of_student)))
            self.student_filters.append(
                self._initialise(build_bottleneck_filter(of_student, 2 * of_student, of_student))
            )
            self.teacher_heads.append(self.make_head(pair, student.num_classes))
            if self.has_student_heads:
                self.student_heads.append(self.make_head(pair, student.num_classes))

    def make_head(self, pair: StagePair, num_classes: int) -> nn.Sequential:
        """Build a head that predicts ``num_classes`` classes from a stage's filtered map."""
        linear = nn.Linear(pair.student_shape.numel(), num_classes)
        return self._initialise(nn.Sequential(nn.Flatten(), nn.ReLU(), linear))

    def filter_student(self, place: int, student: Activations, teacher: Activations) -> Tensor:
        """Compute f_s(S), (batch, channels, height, width), for the pair of stages ``self.pairs[place]``."""
        filtered: Tensor = self.student_filters[place](self.pairs[place].pool_maps(student, teacher)[0])
        return filtered

    def filter_teacher(self, place: int, student: Activations, teacher: Activations) -> Tensor:
        """Compute f_t(T), of the same shape as f_s(S), for the pair of stages ``self.pairs[place]``."""
        filtered: Tensor = self.teacher_filters[place](self.pairs[place].pool_maps(student, teacher)[1])
        return filtered

    def _initialise(self, layers: nn.Sequential) -> nn.Sequential:
        if self.initialisation == "authors":
            draw_kaiming_uniform(layers)
        return layers


def build_bottleneck_filter(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Build the layers of a filter: 1x1 convolution, BN, ReLU, 1x1 convolution."""
    return nn.Sequential(
        nn.Conv2d(inputs, hidden, 1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, outputs, 1, bias=False),
    )
