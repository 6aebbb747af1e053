from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.fitnet import fitnet_loss


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    student = inputs.student_feats[1]
    oracle.check("fitnet_mse_mid", fitnet_loss(student, inputs.teacher_feats_same_width[1]), student)


def test_symmetric_permutable_and_zero_where_they_agree(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_feats[2], inputs.teacher_feats_same_width[2], torch.randperm(8)
    value = fitnet_loss(student, teacher).item()
    assert fitnet_loss(teacher[order], student[order]).item() == pytest.approx(value, rel=1e-12)
    assert fitnet_loss(student, student + 3).item() == pytest.approx(9.0)
    assert fitnet_loss(student, student).item() == 0.0


def test_gradient() -> None:
    student, teacher = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(lambda s: fitnet_loss(s, teacher), student)
    assert torch.autograd.grad(fitnet_loss(student, teacher), teacher, allow_unused=True) == (None,)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(8, 3, 4, 4\) and \(8, 1, 4, 4\)"):
        fitnet_loss(torch.ones(8, 3, 4, 4), torch.ones(8, 1, 4, 4))
