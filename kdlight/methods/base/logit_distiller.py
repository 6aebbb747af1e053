"""The base of methods that compare logits.

It adds the cross-entropy, can standardise the logits before they are compared, and accepts an ensemble as teacher.
"""

__all__ = ["LogitDistiller"]

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.standardization import standardize
from kdlight.methods.base.distiller import Distiller, DistillerArguments
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.ensemble import average_softened_logits
from kdlight.ranges import Weight
from kdlight.unpack import Unpack


class LogitDistillerArgumentsWithoutCE(DistillerArguments, total=False):
    """The arguments of `LogitDistiller` without ``ce_weight``, for methods that declare ``ce_weight`` themselves."""

    standardize_logits: bool


class LogitDistillerArguments(LogitDistillerArgumentsWithoutCE, total=False):
    """The arguments that methods pass on to `LogitDistiller`, which explains them and has their defaults."""

    ce_weight: Weight


class LogitDistiller(Distiller):
    """A method that adds the cross-entropy to a comparison of logits.

    If the teacher is an `Ensemble`, the student is compared with logits whose softmax at the method's temperature is
    the mean of the members' softmaxes at this temperature.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from, which must have the student's classes.
        ce_weight: Weight of the cross-entropy with the labels.
        standardize_logits: Bring the logits of each sample to mean 0 and standard deviation 1 before they are compared
            (Sun, Ren, Li, Wang, Cao, "Logit Standardization in Knowledge Distillation", CVPR 2024, arXiv 2403.01427).
            The cross-entropy uses the raw logits. For KD with standardised logits, the paper sets ``temperature`` to 2,
            ``ce_weight`` to 0.1 and ``kd_weight`` to 9.
        base: Passed on to `Distiller`: teacher_weights, teacher_cache, student_weights, optimizer, …
    """

    compares_logits = True
    distils = "logits"
    reads = ("logits", "member_logits")

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        ce_weight: Weight = 1.0,
        standardize_logits: bool = False,
        **base: Unpack[DistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.ce_weight = ce_weight
        self.standardize_logits = standardize_logits

    def task_terms(self, student: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted cross-entropy."""
        return {"cross_entropy": self.ce_weight * cross_entropy(student.logits, batch.target)}

    def prepare_logits(
        self, student: Activations, teacher: Activations, temperature: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the student's and the teacher's logits (batch, classes), to be compared at this temperature."""
        of_student, of_members = student.logits, teacher.member_logits or (teacher.logits,)
        if self.standardize_logits:
            of_student, of_members = standardize(of_student), tuple(map(standardize, of_members))
        return of_student, average_softened_logits(of_members, temperature)
