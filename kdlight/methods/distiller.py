"""What every distillation method shares: the frozen teacher beside the student."""

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

from torch import Tensor

from kdlight.data.batch import Batch
from kdlight.methods.learner import Learner
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.ensemble import Ensemble
from kdlight.models.frozen import Frozen
from kdlight.models.weights import load_weights

if TYPE_CHECKING:
    Teacher = Classifier | Frozen
else:
    Teacher = Classifier  # the command line builds classifiers only


def frozen_teacher(teacher: Teacher, teacher_weights: str | None, untrained_teacher: bool = False) -> Frozen:
    """Freeze a teacher with its weights loaded.

    Raises:
        ValueError: If no weights are given and the teacher is not meant to be untrained, or both are.
    """
    if isinstance(teacher, Frozen):
        return teacher
    ways = (teacher_weights is not None) + untrained_teacher + (isinstance(teacher, Ensemble) and teacher.has_weights)
    if ways != 1:
        given = "neither" if ways == 0 else "both"
        raise ValueError(
            f"expected teacher_weights (a checkpoint's path; or an ensemble's own weights) or untrained_teacher: true, "
            f"got {given}; in Python, a teacher whose weights are loaded already is passed as Frozen(model)"
        )
    if teacher_weights is not None:
        load_weights(teacher, teacher_weights)
    return Frozen(teacher)


class Distiller(Learner):
    """A student that learns from a frozen teacher.

    A method implements `loss_terms`. The teacher lies outside the module tree: it has no parameter here, no entry in a
    checkpoint, stays in evaluation mode and costs one forward pass without a graph a step.

    Args:
        student: The network that is trained.
        teacher: The network it learns from.
        teacher_weights: Path of the teacher's weights: a run's checkpoint, safetensors, or another layout of the field.
        untrained_teacher: Distil from a teacher as it was initialised, as the RID paper does on purpose.
        learner: The arguments of `Learner`.

    Raises:
        ValueError: If the teacher has no weights, or its classes are not the student's and the method compares logits.
    """

    compares_logits: ClassVar[bool] = False
    distils: ClassVar[str] = "–"  # what is compared, as `kdlight methods` lists it

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        teacher_weights: str | None = None,
        untrained_teacher: bool = False,
        **learner: Any,
    ) -> None:
        super().__init__(student, **learner)
        if student is teacher:
            raise ValueError("student and teacher are the same object; build two networks")
        self.teacher = frozen_teacher(teacher, teacher_weights, untrained_teacher)
        self.untrained_teacher = untrained_teacher
        if self.compares_logits:
            self.require_same_classes(type(self).__name__)

    def require_same_classes(self, what: str) -> None:
        """Refuse a pair whose logits cannot be compared.

        Raises:
            ValueError: If the numbers of classes differ.
        """
        of_student, of_teacher = self.student.num_classes, self.teacher.num_classes
        if of_student != of_teacher:
            raise ValueError(
                f"{what} compares logits: expected a teacher of the student's {of_student} classes, got {of_teacher}; "
                "choose a teacher trained on the student's data, or a method that compares features"
            )

    def require_one_teacher(self, what: str) -> None:
        """Refuse an ensemble, which has no feature maps of its own.

        Raises:
            ValueError: If the teacher is one.
        """
        if isinstance(self.teacher.model, Ensemble):
            raise ValueError(
                f"{what} compares features: expected one teacher, got an ensemble of "
                f"{len(self.teacher.model.members)}; choose one of its members, or a method that compares logits alone"
            )

    @abstractmethod
    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """The weighted terms of the loss by name, from what both networks computed on the batch."""

    def batch_terms(self, batch: Batch) -> dict[str, Tensor]:
        """One forward pass of each network, then the method's terms."""
        teacher = self.teacher.activations(batch.images)
        return self.loss_terms(self.student.activations(batch.images), teacher, batch)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Where the student moves (device, precision), the teacher follows, although it is not a child.
        super()._apply(fn, recurse)
        self.teacher.convert(fn)
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record which teacher this student learned from."""
        checkpoint["teacher_sha256"] = self.teacher.sha256()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with another teacher.

        Raises:
            ValueError: If the checkpoint was made with a teacher of other weights.
        """
        expected, given = checkpoint.get("teacher_sha256"), self.teacher.sha256()
        if expected not in (None, given):
            raise ValueError(
                f"the checkpoint's student learned from a teacher with sha256 {expected[:12]}…, this one has "
                f"{given[:12]}…; give the teacher_weights of that run (an untrained teacher's lie in its run folder)"
            )
