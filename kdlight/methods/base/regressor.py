"""The convolution with which FitNet and AB bring a student's feature map to the shape of the teacher's."""

import torch
from torch import Tensor, nn

from kdlight.errors import UserError


class ConvolutionalRegressor(nn.Sequential):
    """One convolution from the student's shape to the teacher's, a batch norm, and a ReLU if `relu` is true.

    As in RepDistiller's `ConvReg`, a 3x3 convolution with stride 2 halves the size, and a transposed 4x4 convolution
    with stride 2 doubles it. In all other cases the convolution has stride 1 and no padding, and the height of its
    kernel is 1 + the student's height - the teacher's height; the same holds for the width.

    Args:
        student_shape: (channels, height, width).
        teacher_shape: (channels, height, width).
        relu: Whether to end with a ReLU. Set it to true if the teacher's map is the output of a ReLU.

    Raises:
        UserError: If the teacher's map is higher or wider than the student's, but not twice as high and twice as wide.
    """

    def __init__(self, student_shape: torch.Size, teacher_shape: torch.Size, *, relu: bool) -> None:
        (inputs, *given), (outputs, *wanted) = student_shape, teacher_shape
        convolution: nn.Module
        if given == [2 * size for size in wanted]:
            convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        elif [2 * size for size in given] == wanted:
            convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        elif given[0] >= wanted[0] and given[1] >= wanted[1]:
            convolution = nn.Conv2d(inputs, outputs, (1 + given[0] - wanted[0], 1 + given[1] - wanted[1]))
        else:
            raise UserError(
                f"expected a student's map at least as large as the teacher's, or half as large, got "
                f"{given[0]}x{given[1]} for the teacher's {wanted[0]}x{wanted[1]}; choose another stage or "
                "another pair of networks"
            )
        super().__init__(convolution, nn.BatchNorm2d(outputs), *([nn.ReLU()] if relu else []))

    def forward(self, student_map: Tensor) -> Tensor:
        """Return the map (batch, teacher channels, teacher height, teacher width)."""
        regressed: Tensor = super().forward(student_map)
        return regressed
