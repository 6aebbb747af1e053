"""Train a network on labels only, as a teacher or as the baseline (BAS) with which distillation is compared."""

__all__ = ["Supervised"]

from collections.abc import Callable
from typing import Self

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.base.learner import Learner, LearnerArguments
from kdlight.methods.base.teacher import Teacher, freeze_teacher
from kdlight.models.classifier import Classifier
from kdlight.models.frozen import Frozen
from kdlight.unpack import Unpack


class Supervised(Learner):
    """Minimise the cross-entropy with the labels.

    Args:
        student: The network that is trained.
        teacher: A network with which the callback `PIDMonitor` compares the student; the student does not learn from
            it. An untrained teacher gets the same random initial weights that it would have in a distillation method
            with the same student and seed.
        teacher_weights: Path of the teacher's weights.
        untrained_teacher: Compare the student with a teacher that keeps its random initial weights.
        base: Passed on to `Learner`: student_weights, optimizer, scheduler, …

    Raises:
        UserError: If a teacher that is not `Frozen` has no source of weights, or more than one. The possible sources
            are `teacher_weights`, `untrained_teacher`, and weights that the teacher was built with.
    """

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher | None = None,
        *,
        teacher_weights: str | None = None,
        untrained_teacher: bool = False,
        **base: Unpack[LearnerArguments],
    ) -> None:
        super().__init__(student, **base)
        self.keeps_teacher = untrained_teacher or isinstance(teacher, Frozen)
        self.teacher = None if teacher is None else freeze_teacher(teacher, teacher_weights, untrained_teacher)

    def batch_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy."""
        return {"cross_entropy": cross_entropy(self(batch.images), batch.target)}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        if self.teacher is not None:
            self.teacher.convert(fn)
        return self
