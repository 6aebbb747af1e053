"""Pair stages of the student with stages of the teacher, and find the shapes of their feature maps."""

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
    """A stage of the student and one of the teacher: their indices, and their maps' shapes (channels, height, width).

    The shapes are those after the larger map is pooled to the height and width of the smaller one.
    """

    student: int
    teacher: int
    student_shape: torch.Size
    teacher_shape: torch.Size

    @property
    def name(self) -> str:
        """The name of the student's stage in logs, where stages are counted from 1."""
        return f"stage{self.student + 1}"

    def pool_maps(self, student: Activations, teacher: Activations) -> tuple[Tensor, Tensor]:
        """Return both feature maps (batch, channels, height, width), the larger average-pooled to the other's size."""
        return pool_to_smaller(student.stages[self.student], teacher.stages[self.teacher])


def pair_stages(method: Distiller, stages: Sequence[int] | None = None) -> list[StagePair]:
    """Pair the deepest stages of student and teacher, then their second deepest stages, and so on.

    Args:
        method: Holds student and teacher.
        stages: Which pairs to return: 0 is the shallowest pair, -1 the deepest. None: all pairs, from the shallowest to
            the deepest.

    Raises:
        UserError: If a network has no stages, or a requested pair does not exist.
    """
    student, teacher = run_both_on_blank_images(method)
    shared = min(len(student.stages), len(teacher.stages))
    if shared == 0:
        raise UserError(
            f"expected networks with stages, but the student has {len(student.stages)} and the teacher "
            f"{len(teacher.stages)}; choose other networks, or wrap the network without stages in "
            "kdlight.models.Tapped(model, stages), where `stages` lists the modules that end a stage"
        )
    wrong = [stage for stage in stages or () if not -shared <= stage < shared]
    if wrong:
        raise UserError(
            f"expected stages between {-shared} and {shared - 1}, got {wrong}; the student has {len(student.stages)} "
            f"stages and the teacher {len(teacher.stages)}, which makes {shared} pairs; choose among these"
        )
    pairs = []
    for place in range(shared) if stages is None else stages:
        from_end = place % shared - shared
        of_student, of_teacher = len(student.stages) + from_end, len(teacher.stages) + from_end
        maps = pool_to_smaller(student.stages[of_student], teacher.stages[of_teacher])
        pairs.append(StagePair(of_student, of_teacher, *(a_map.shape[1:] for a_map in maps)))
    return pairs


def run_both_on_blank_images(method: Distiller) -> tuple[Activations, Activations]:
    """Run both networks on two blank images of the student's size, so that the activations' shapes can be read."""
    shape = method.student.image_shape
    return run_blank_images(method.student, shape), run_blank_images(method.teacher.model, shape)


def run_blank_images(model: Classifier, image_shape: tuple[int, int, int]) -> Activations:
    """Run a model on two blank images, so that the number of its stages and the activations' shapes can be read."""
    parameter = next(model.parameters())
    with evaluating(model):
        return model.activations(parameter.new_zeros(2, *image_shape))
