"""The type of a method's teacher, and a function that loads the teacher's weights and freezes the teacher."""

from typing import TYPE_CHECKING

from kdlight.errors import UserError
from kdlight.models.classifier import Classifier, require_classifier
from kdlight.models.frozen import Frozen
from kdlight.models.weights import load_weights

if TYPE_CHECKING:
    Teacher = Classifier | Frozen
else:
    Teacher = Classifier  # the command line reads this type, and can build a classifier but not a `Frozen`


def freeze_teacher(teacher: Teacher, teacher_weights: str | None, untrained_teacher: bool = False) -> Frozen:
    """Load a teacher's weights and freeze it. A teacher that is frozen already is returned unchanged.

    Raises:
        UserError: If the teacher is no `Classifier`, or if there is not exactly one source of weights: a file, the
            teacher's own weights, or its random initial weights (`untrained_teacher`).
    """
    if isinstance(teacher, Frozen):
        return teacher
    require_classifier("teacher", teacher)
    ways = (teacher_weights is not None) + untrained_teacher + teacher.has_weights
    if ways != 1:
        given = "none of these" if ways == 0 else "more than one of these"
        raise UserError(
            "expected one of these: teacher_weights (a checkpoint's path), untrained_teacher: true, or a teacher built "
            f"with weights (a pretrained model, or an Ensemble with weights), got {given}; in Python, a teacher with "
            "loaded weights can be passed as Frozen(model)"
        )
    if teacher_weights is not None:
        load_weights(teacher, teacher_weights)
    return Frozen(teacher)
