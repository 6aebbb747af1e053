"""The base of methods that compare features. It adds the cross-entropy and Hinton's term to their losses."""

__all__ = ["FeatureDistiller"]

from typing import ClassVar

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.kd import kd_loss
from kdlight.methods.base.distiller import Distiller, DistillerArguments
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.ensemble import average_softened_logits
from kdlight.ranges import PositiveFloat, Weight
from kdlight.unpack import Unpack


class FeatureDistillerArgumentsWithoutCE(DistillerArguments, total=False):
    """The arguments that a method passes on to `FeatureDistiller` as ``**base`` if it declares `ce_weight` itself."""

    kd_weight: Weight
    temperature: PositiveFloat


class FeatureDistillerArguments(FeatureDistillerArgumentsWithoutCE, total=False):
    """The arguments that methods pass on to `FeatureDistiller`, which explains them and has their defaults."""

    ce_weight: Weight


class FeatureDistiller(Distiller):
    """A method that adds the cross-entropy and, if `kd_weight` is not 0, Hinton's term to a comparison of features.

    Hinton's term is T^2 KL(teacher || student) of the class probabilities at the temperature T.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from. It may have other classes if `kd_weight` is 0.
        ce_weight: Weight of the cross-entropy with the labels.
        kd_weight: Weight of Hinton's term, for combinations such as CRD+KD; 0 leaves the term out.
        temperature: T of Hinton's term.
        base: Passed on to `Distiller`: teacher_weights, teacher_cache, student_weights, optimizer, …
    """

    distils = "features"
    #: Whether the teacher may be an `Ensemble`, whose stages are its members' maps joined along the channels. A method
    #: that takes ensembles lists "member_logits" in `reads`, because Hinton's term needs them.
    takes_ensembles: ClassVar[bool] = False

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        ce_weight: Weight = 1.0,
        kd_weight: Weight = 0.0,
        temperature: PositiveFloat = 4.0,
        **base: Unpack[DistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.ce_weight = ce_weight
        self.kd_weight = kd_weight
        self.temperature = temperature
        if not self.takes_ensembles:
            self.require_one_teacher(type(self).__name__)
        if kd_weight:
            self.require_same_classes("Hinton's term (kd_weight)")

    def task_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted cross-entropy and, if `kd_weight` is not 0, Hinton's term."""
        terms = {"cross_entropy": self.ce_weight * cross_entropy(student.logits, batch.target)}
        if self.kd_weight:
            of_members = teacher.member_logits if self.takes_ensembles else ()
            of_teacher = average_softened_logits(of_members or (teacher.logits,), self.temperature)
            soft = kd_loss(student.logits, of_teacher, temperature=self.temperature)
            terms["kd"] = self.kd_weight * soft
        return terms
