"""AB: activation boundaries.

Heo, Lee, Yun, Choi, "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons", AAAI 2019
(arXiv 1811.03233). Code followed: github.com/HobbitLong/RepDistiller.
"""

__all__ = ["AB"]

from torch import Tensor, nn

from kdlight.losses.ab import ab_loss
from kdlight.methods.base.preactivations import get_preactivations, get_student_preactivations
from kdlight.methods.base.regressor import ConvolutionalRegressor
from kdlight.methods.base.stages import pair_stages, run_both_on_blank_images
from kdlight.methods.base.teacher import Teacher
from kdlight.methods.base.two_phase_distiller import TwoPhaseDistiller, TwoPhaseDistillerArguments
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeFloat, Weight
from kdlight.unpack import Unpack


class AB(TwoPhaseDistiller):
    """Train the student's neurons to be active where the teacher's are, then train the student on the labels.

    The first phase (`init_epochs`) minimises
    ``ab_weight * sum over stages of 2^-(number of deeper stages) * ab_loss(c(s), t)``. s and t are the maps of student
    and teacher before the ReLU. The connector c is a convolution with batch norm if the shapes of s and t differ, and
    otherwise the identity. `ab_loss` is a squared hinge loss: a value of the student costs nothing if it is on the same
    side of 0 as the teacher's value and at least `margin` away from 0. The second phase minimises the cross-entropy
    with the labels. The factors ``2^-(number of deeper stages)`` and the default of `ab_weight` are those of
    RepDistiller.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        ab_weight: Weight of the sum over the stages.
        margin: The student's values are pushed at least this far from 0, to the side on which the teacher's values lie.
        base: Passed on to `TwoPhaseDistiller`: init_epochs, kd_weight, teacher_weights, optimizer, …

    Raises:
        UserError: If a network does not return its maps before the ReLU. A student whose stages end without a ReLU
            (`linear_stages`) need not return them.
    """

    reads = ("logits", "preactivations")

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        ab_weight: Weight = 3e-3,
        margin: NonNegativeFloat = 1.0,
        **base: Unpack[TwoPhaseDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.ab_weight = ab_weight
        self.margin = margin
        self.pairs = pair_stages(self)
        computed = run_both_on_blank_images(self)
        of_student = get_student_preactivations(computed[0], student)
        of_teacher = get_preactivations(computed[1], "teacher")
        self.connectors = nn.ModuleList()
        for pair in self.pairs:
            shapes = of_student[pair.student].shape[1:], of_teacher[pair.teacher].shape[1:]
            same = shapes[0] == shapes[1]
            self.connectors.append(nn.Identity() if same else ConvolutionalRegressor(*shapes, relu=False))

    def get_init_children(self) -> tuple[nn.Module, ...]:
        """Return the connectors."""
        return (self.connectors,)

    def init_terms(self, student: Activations, teacher: Activations) -> dict[str, Tensor]:
        """Return one term for each stage."""
        terms = {}
        for place, (pair, connector) in enumerate(zip(self.pairs, self.connectors, strict=True)):
            connected = connector(get_student_preactivations(student, self.student)[pair.student])
            loss = ab_loss(connected, get_preactivations(teacher, "teacher")[pair.teacher], margin=self.margin)
            weight = self.ab_weight / 2 ** (len(self.pairs) - place - 1)
            terms[f"ab_{pair.name}"] = weight * loss
        return terms
