from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.nst import nst_loss


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    value = sum(map(nst_loss, inputs.student_feats, inputs.teacher_feats))
    oracle.check("nst", value, *inputs.student_feats)


def test_two_orthogonal_channels_are_at_distance_two() -> None:
    channels = torch.zeros(2, 1, 1, 2, 2)
    channels[0, 0, 0, 0, 0], channels[1, 0, 0, 1, 1] = 3.0, 5.0
    assert nst_loss(*channels).item() == pytest.approx(2.0)


def test_invariant_to_scale_channel_order_and_batch_order_and_zero_where_they_agree(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_feats[2], inputs.teacher_feats[2], torch.randperm(8)
    value = nst_loss(student, teacher).item()
    assert nst_loss(3 * student[order].flip(1), teacher[order]).item() == pytest.approx(value, rel=1e-12)
    assert nst_loss(student, student.flip(1)).item() == pytest.approx(0.0, abs=1e-15)


def test_a_dead_channel_passes_no_gradient() -> None:
    student = torch.randn(2, 3, 2, 2)
    student[:, 1] = 0.0
    student.requires_grad_()
    nst_loss(student, torch.randn(2, 4, 2, 2)).backward()
    assert student.grad[:, 1].abs().max() == 0.0
    assert student.grad.abs().max() < 1.0


def test_gradient() -> None:
    student, teacher = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(lambda s: nst_loss(s, teacher), student)
    assert torch.autograd.grad(nst_loss(student, teacher), teacher, allow_unused=True) == (None,)


def test_batches_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(8, 3, 4, 4\) and \(1, 3, 4, 4\)"):
        nst_loss(torch.ones(8, 3, 4, 4), torch.ones(1, 3, 4, 4))
