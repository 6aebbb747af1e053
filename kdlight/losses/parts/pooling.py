"""Bring two feature maps to the same size by average-pooling the larger, as RepDistiller and mdistiller do."""

import torch.nn.functional as F
from torch import Tensor

from kdlight.errors import UserError


def pool_to_smaller(student_feature: Tensor, teacher_feature: Tensor) -> tuple[Tensor, Tensor]:
    """Average-pool the larger of two maps (batch, channels, height, width) to the height and width of the smaller.

    Args:
        student_feature: (batch, channels, height, width).
        teacher_feature: (batch, channels, height, width); the number of channels may be another than the student's.

    Returns:
        The student's and the teacher's map, now of the same height and width. A map that has them already is unchanged.

    Raises:
        UserError: If a tensor has no height and width, or one map is higher and the other wider.
    """
    student_size, teacher_size = student_feature.shape[2:], teacher_feature.shape[2:]
    if len(student_size) != 2 or len(teacher_size) != 2:
        raise UserError(
            "expected maps (batch, channels, height, width), got "
            f"{tuple(student_feature.shape)} and {tuple(teacher_feature.shape)}; pass feature maps, not embeddings"
        )
    size = min(student_size[0], teacher_size[0]), min(student_size[1], teacher_size[1])
    if size not in (student_size, teacher_size):
        raise UserError(
            "expected one map to be at least as high and as wide as the other, got "
            f"{tuple(student_feature.shape)} and {tuple(teacher_feature.shape)}; choose stages of one aspect ratio"
        )
    return _pool(student_feature, size), _pool(teacher_feature, size)


def _pool(feature: Tensor, size: tuple[int, int]) -> Tensor:
    return feature if feature.shape[2:] == size else F.adaptive_avg_pool2d(feature, size)
