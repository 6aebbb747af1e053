"""Pair each stage of the student with a stage of the teacher, and find the shapes of both."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kdlight.errors import UserError
from kdlight.losses.parts.pooling import pool_to_smaller
from kdlight.methods.base.distiller import Distiller
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.evaluating import evaluating


class StagePair(NamedTuple):
    """One stage of each network, and the shapes (channels, height, width) of their maps after pooling to one size."""

    student: int
    teacher: int
    student_shape: torch.Size
    teacher_shape: torch.Size

    @property
    def name(self) -> str:
        """The name of the student's stage in logs, where stages are counted from 1."""
        return f"stage{self.student + 1}"

    def pool_maps(self, student: Activations, teacher: Activations) -> tuple[Tensor, Tensor]:
        """Return the pair's feature maps (batch, channels, height, width), the larger average-pooled to the smaller."""
        return pool_to_smaller(student.stages[self.student], teacher.stages[self.teacher])


def pair_stages(method: Distiller, stages: Sequence[int] | None = None) -> list[StagePair]:
    """Pair the deepest stages of student and teacher, the second deepest, and so on; find their shapes.

    Args:
        method: Holds student and teacher.
        stages: The pairs to return, counted among the stages that both networks have: 0 is the shallowest, -1 the
            deepest. None: all pairs.

    Raises:
        UserError: If a requested stage does not exist in both networks.
    """
    student, teacher = run_both_on_blank_images(method)
    shared = min(len(student.stages), len(teacher.stages))
    if shared == 0:
        raise UserError(
            f"expected networks with stages, but the student has {len(student.stages)} and the teacher "
            f"{len(teacher.stages)}; choose other networks, or name the stages in the argument stages of "
            "kdlight.models.Tapped"
        )
    wrong = [stage for stage in stages or () if not -shared <= stage < shared]
    if wrong:
        raise UserError(
            f"expected stages between {-shared} and {shared - 1}, since the student has {len(student.stages)} and the "
            f"teacher {len(teacher.stages)}, got {wrong}; choose among the stages that both have"
        )
    pairs = []
    for place in range(shared) if stages is None else stages:
        from_end = place % shared - shared
        of_student, of_teacher = len(student.stages) + from_end, len(teacher.stages) + from_end
        maps = pool_to_smaller(student.stages[of_student], teacher.stages[of_teacher])
        pairs.append(StagePair(of_student, of_teacher, *(a_map.shape[1:] for a_map in maps)))
    return pairs


def run_both_on_blank_images(method: Distiller) -> tuple[Activations, Activations]:
    """Run student and teacher on two blank images of the student's size, to learn the shapes of their activations."""
    shape = method.student.image_shape
    return run_blank_images(method.student, shape), run_blank_images(method.teacher.model, shape)


def run_blank_images(model: Classifier, image_shape: tuple[int, int, int]) -> Activations:
    """Run a model on two blank images; from the activations a method learns which sizes its own modules need."""
    parameter = next(model.parameters())
    with evaluating(model):
        return model.activations(parameter.new_zeros(2, *image_shape))
