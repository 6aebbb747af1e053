from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.sp import sp_loss


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    student = inputs.student_feats[2]
    oracle.check("sp_last", sp_loss(student, inputs.teacher_feats[2]), student)


def test_orthogonal_samples_against_equal_ones() -> None:
    # Normalised rows of the Gram matrices: the identity, and 1/sqrt(2) everywhere.
    expected = (2 * (1 - 0.5**0.5) ** 2 + 2 * 0.5) / 4
    assert sp_loss(torch.eye(2), torch.ones(2, 7)).item() == pytest.approx(expected)


def test_invariant_to_rotation_scale_and_batch_order_and_zero_where_they_agree(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_pooled, inputs.teacher_pooled, torch.randperm(8)
    rotation = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64)).Q
    value = sp_loss(student, teacher).item()
    assert sp_loss(3 * student @ rotation, teacher).item() == pytest.approx(value, rel=1e-9)
    assert sp_loss(student[order], teacher[order]).item() == pytest.approx(value, rel=1e-9)
    assert sp_loss(student, student).item() == 0.0


def test_gradient() -> None:
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(lambda s: sp_loss(s, teacher), student)
    assert torch.autograd.grad(sp_loss(student, teacher), teacher, allow_unused=True) == (None,)


def test_batches_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(8, 3\) and \(1, 3\)"):
        sp_loss(torch.ones(8, 3), torch.ones(1, 3))
