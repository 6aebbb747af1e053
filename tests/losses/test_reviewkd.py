from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from kdlight.losses.reviewkd import hcl_loss


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    value = sum(map(hcl_loss, inputs.student_feats, inputs.teacher_feats_same_width))
    oracle.check("hcl", value, *inputs.student_feats)


def test_pooled_level_is_the_mean_squared_error(inputs: SimpleNamespace) -> None:
    student, teacher = (
        feature[:, :, :1, :1] for feature in (inputs.student_feats[2], inputs.teacher_feats_same_width[2])
    )
    assert hcl_loss(student, teacher).item() == pytest.approx(F.mse_loss(student, teacher).item(), rel=1e-12)


def test_a_constant_difference_costs_its_square_at_every_size(inputs: SimpleNamespace) -> None:
    for feature in inputs.student_feats:
        assert hcl_loss(feature, feature + 3).item() == pytest.approx(9.0, rel=1e-12)
        assert hcl_loss(feature, feature).item() == 0.0


def test_permutable(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_feats[1], inputs.teacher_feats_same_width[1], torch.randperm(8)
    assert hcl_loss(student[order], teacher[order]).item() == pytest.approx(
        hcl_loss(student, teacher).item(), rel=1e-12
    )


def test_gradient() -> None:
    student, teacher = torch.randn(2, 2, 2, 3, 3, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(lambda s: hcl_loss(s, teacher), student)
    assert torch.autograd.grad(hcl_loss(student, teacher), teacher, allow_unused=True) == (None,)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(8, 3, 4, 4\) and \(8, 3, 8, 8\)"):
        hcl_loss(torch.ones(8, 3, 4, 4), torch.ones(8, 3, 8, 8))
