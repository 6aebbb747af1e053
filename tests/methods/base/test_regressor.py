import pytest
import torch
from torch import nn

from kdlight.methods.base.regressor import ConvolutionalRegressor


@pytest.mark.parametrize(
    ("student", "teacher", "kind", "kernel"),
    [
        ((3, 8, 8), (5, 4, 4), nn.Conv2d, (3, 3)),
        ((3, 4, 4), (5, 8, 8), nn.ConvTranspose2d, (4, 4)),
        ((3, 8, 6), (5, 8, 6), nn.Conv2d, (1, 1)),
        ((3, 8, 7), (5, 7, 7), nn.Conv2d, (2, 1)),
    ],
)
def test_reaches_the_teachers_shape(student, teacher, kind, kernel):
    regressor = ConvolutionalRegressor(torch.Size(student), torch.Size(teacher), relu=True)
    assert isinstance(regressor[0], kind)
    assert regressor[0].kernel_size == kernel
    regressed = regressor(torch.randn(2, *student))
    assert regressed.shape == (2, *teacher)
    assert regressed.min() == 0
    assert (
        ConvolutionalRegressor(torch.Size(student), torch.Size(teacher), relu=False)(torch.randn(2, *student)).min() < 0
    )


def test_a_teacher_three_times_as_large_is_refused():
    with pytest.raises(ValueError, match=r"got 4x4 for the teacher's 12x12"):
        ConvolutionalRegressor(torch.Size((3, 4, 4)), torch.Size((3, 12, 12)), relu=True)
