"""Bring feature maps of different sizes to one: the larger is average-pooled, as in most reference code."""

import torch.nn.functional as F
from torch import Tensor

from kdlight.errors import UserError


def pool_to_smaller(student_feature: Tensor, teacher_feature: Tensor) -> tuple[Tensor, Tensor]:
    """Average-pool the larger of two maps (batch, channels, height, width) to the height and width of the smaller.

    Args:
        student_feature: (batch, channels, height, width).
        teacher_feature: The same; the channels may differ.

    Returns:
        Student and teacher map of one size; unchanged if they had it already.

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
            "expected one map to be no larger than the other, got "
            f"{tuple(student_feature.shape)} and {tuple(teacher_feature.shape)}; choose stages of one aspect ratio"
        )
    return _pool(student_feature, size), _pool(teacher_feature, size)


def _pool(feature: Tensor, size: tuple[int, int]) -> Tensor:
    return feature if feature.shape[2:] == size else F.adaptive_avg_pool2d(feature, size)
