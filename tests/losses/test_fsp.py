from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.fsp import fsp_loss, fsp_matrix


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    students, teachers = (
        [fsp_matrix(*pair) for pair in pairwise(maps)]
        for maps in (inputs.student_feats, inputs.teacher_feats_same_width)
    )
    values = [fsp_loss(*pair) for pair in zip(students, teachers, strict=True)]
    assert [value.item() for value in values] == pytest.approx(oracle.cases["fsp"]["per_pair"], rel=1e-9)
    oracle.check("fsp", sum(values), *inputs.student_feats)


def test_matrix_is_a_mean_of_products() -> None:
    bottom, top = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 4, 4)
    expected = sum(bottom[1, 2, i, j] * top[1, 4, i, j] for i in range(4) for j in range(4)) / 16
    assert fsp_matrix(bottom, top).shape == (2, 3, 5)
    assert fsp_matrix(bottom, top)[1, 2, 4].item() == pytest.approx(expected.item(), rel=1e-5)


def test_permutable_and_zero_where_they_agree(inputs: SimpleNamespace) -> None:
    student, teacher = fsp_matrix(*inputs.student_feats[:2]), fsp_matrix(*inputs.teacher_feats_same_width[:2])
    order = torch.randperm(8)
    assert fsp_loss(student[order], teacher[order]).item() == pytest.approx(
        fsp_loss(student, teacher).item(), rel=1e-12
    )
    assert fsp_loss(student, student).item() == 0.0


def test_gradient() -> None:
    bottom, top = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True).unbind()
    teacher = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *maps: fsp_loss(fsp_matrix(*maps), teacher), (bottom, top))
    assert torch.autograd.grad(fsp_loss(fsp_matrix(bottom, top), teacher), teacher, allow_unused=True) == (None,)


def test_widths_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(8, 3, 4\) and \(8, 3, 5\)"):
        fsp_loss(torch.ones(8, 3, 4), torch.ones(8, 3, 5))
