"""The type of a method's teacher, and the function that loads and freezes its weights."""

from typing import TYPE_CHECKING

from kdlight.errors import UserError
from kdlight.models.classifier import Classifier
from kdlight.models.frozen import Frozen
from kdlight.models.weights import load_weights

if TYPE_CHECKING:
    Teacher = Classifier | Frozen
else:
    Teacher = Classifier  # the command line builds only classifiers


def freeze_teacher(teacher: Teacher, teacher_weights: str | None, untrained_teacher: bool = False) -> Frozen:
    """Freeze a teacher with its weights loaded.

    Raises:
        UserError: If no weights are given and the teacher is not meant to be untrained, or both are.
    """
    if isinstance(teacher, Frozen):
        return teacher
    ways = (teacher_weights is not None) + untrained_teacher + teacher.has_weights
    if ways != 1:
        given = "neither" if ways == 0 else "both"
        raise UserError(
            "expected teacher_weights (a checkpoint's path), untrained_teacher: true, or a teacher that brings its own "
            f"weights (pretrained, an ensemble's), got {given}; in Python, a teacher whose weights are loaded already "
            "is passed as Frozen(model)"
        )
    if teacher_weights is not None:
        load_weights(teacher, teacher_weights)
    return Frozen(teacher)
