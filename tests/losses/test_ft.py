from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.ft import ft_loss


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    student = inputs.student_feats[1]
    oracle.check("ft_p2_1", ft_loss(student, inputs.teacher_feats_same_width[1]), student)


def test_two_orthogonal_factors_differ_by_the_mean_of_both() -> None:
    factors = torch.zeros(2, 1, 5, 2, 2)
    factors[0, :, :, 0, 0], factors[1, :, :, 1, 1] = 3.0, 7.0
    assert ft_loss(*factors).item() == pytest.approx(2 / 4)


def test_invariant_to_scale_and_batch_order_and_zero_where_they_agree(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_feats[2], inputs.teacher_feats[2], torch.randperm(8)
    value = ft_loss(student, teacher).item()
    assert ft_loss(5 * student[order], teacher[order]).item() == pytest.approx(value, rel=1e-12)
    assert ft_loss(student, student).item() == 0.0


def test_gradient() -> None:
    student, teacher = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(lambda s: ft_loss(s, teacher), student)
    assert torch.autograd.grad(ft_loss(student, teacher), teacher, allow_unused=True) == (None,)


def test_batches_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(8, 3, 4, 4\) and \(1, 3, 4, 4\)"):
        ft_loss(torch.ones(8, 3, 4, 4), torch.ones(1, 3, 4, 4))
