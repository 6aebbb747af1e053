"""Check shapes, because tensors of student and teacher are compared element by element and must not be broadcast."""

from torch import Tensor

from kdlight.errors import UserError


def require_same_shape(student: Tensor, teacher: Tensor) -> None:
    """Refuse a student and a teacher tensor of different shapes.

    Raises:
        UserError: If the shapes differ.
    """
    if student.shape != teacher.shape:
        raise UserError(
            f"expected tensors of student and teacher of the same shape, got {tuple(student.shape)} and "
            f"{tuple(teacher.shape)}; project or resize one of them first"
        )


def require_same_batch(student: Tensor, teacher: Tensor, *, at_least: int = 1) -> None:
    """Refuse tensors of different batch sizes or of too few samples.

    Raises:
        UserError: If the first dimensions differ or are smaller than ``at_least``.
    """
    if len(student) != len(teacher) or len(student) < at_least:
        raise UserError(
            f"expected tensors of student and teacher for the same samples, at least {at_least}, got "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}; pass the same samples to both networks. If "
            "only the last batch is too small, set the loader's drop_last=True"
        )


def expand_per_channel(values: Tensor, feature: Tensor) -> Tensor:
    """Reshape a vector of one value per channel so that it broadcasts over a map (batch, channels, height, width).

    Args:
        values: (channels,).
        feature: (batch, channels, height, width); only its shape is used.

    Raises:
        UserError: If there is not exactly one value per channel.
    """
    if values.shape != feature.shape[1:2]:
        raise UserError(
            f"expected one value per channel of {tuple(feature.shape)}, got {tuple(values.shape)}; "
            f"pass a tensor of shape ({feature.shape[1]},)"
        )
    return values.view(-1, *(1,) * (feature.dim() - 2))
