from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from kdlight.losses.parts.pooling import pool_to_smaller
from kdlight.losses.vid import vid_loss

START = torch.tensor(5.0, dtype=torch.float64)


@pytest.mark.parametrize("start", ["const", "ramp"])
def test_oracle_of_the_rid_authors(oracle, inputs: SimpleNamespace, start: str) -> None:
    students, teachers = inputs.student_feats, inputs.teacher_feats_same_width
    ends = (5, 5) if start == "const" else (-2, 3)
    parameters = [torch.linspace(*ends, s.shape[1], dtype=torch.float64).requires_grad_() for s in students]
    stages = zip(students, teachers, parameters, strict=True)
    value = sum(vid_loss(s, t, F.softplus(p) + 1e-3) for s, t, p in stages)
    oracle.check(f"kdrid_vid_{start}", value, *students, *parameters)


def test_oracle_of_the_reference(oracle, inputs: SimpleNamespace) -> None:
    student, teacher = inputs.student_feats[1], inputs.teacher_feats_same_width[1]
    scale = ((START - 1e-5).expm1().log()).repeat(12).requires_grad_()
    oracle.check("vid_mid_v5", vid_loss(student, teacher, F.softplus(scale) + 1e-5), student, scale)


@pytest.mark.parametrize("name", ["vid_mid_regressor", "vid_mid_regressor_teacher_pooled"])
def test_oracle_with_a_regressor(oracle, inputs: SimpleNamespace, name: str) -> None:
    student, teacher = inputs.student_feats[1], inputs.teacher_feats[1]
    if name.endswith("pooled"):
        rows = torch.linspace(0.5, 1.5, 16, dtype=torch.float64)[:, None]
        teacher = teacher.repeat_interleave(2, 2).repeat_interleave(2, 3) * rows
    weights = list(oracle.fill(name).values())
    scale = ((START - 1e-5).expm1().log() + torch.linspace(-1, 1, 24, dtype=torch.float64)).requires_grad_()
    pooled, teacher = pool_to_smaller(student, teacher)
    hidden = F.conv2d(F.conv2d(pooled, weights[0]).relu(), weights[1]).relu()
    value = vid_loss(F.conv2d(hidden, weights[2]), teacher, F.softplus(scale) + 1e-5)
    oracle.check(name, value, student, scale, weights[0])


def test_unit_variance_gives_half_the_mean_squared_error(inputs: SimpleNamespace) -> None:
    student, teacher = inputs.student_feats[2], inputs.teacher_feats_same_width[2]
    one = torch.ones(16, dtype=torch.float64)
    assert vid_loss(student, teacher, one).item() == pytest.approx(0.5 * F.mse_loss(student, teacher).item())
    assert vid_loss(student, student, 3 * one).item() == pytest.approx(0.5 * torch.log(3 * one[0]).item())
    ratio = vid_loss(student, teacher, one, reduction="sum") / vid_loss(student, teacher, one)
    assert ratio.item() == pytest.approx(student[0].numel())


def test_gradient() -> None:
    student, teacher = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64).unbind()
    variance = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, v: vid_loss(s, teacher, v), (student.requires_grad_(), variance))
    teacher.requires_grad_()
    assert torch.autograd.grad(vid_loss(student, teacher, variance), teacher, allow_unused=True) == (None,)


def test_errors(inputs: SimpleNamespace) -> None:
    student, teacher = inputs.student_feats[1], inputs.teacher_feats_same_width[1]
    with pytest.raises(ValueError, match=r"\(8, 12, 8, 8\) and \(1, 12, 8, 8\)"):
        vid_loss(student, teacher[:1], torch.ones(12))
    with pytest.raises(ValueError, match=r"one value per channel of \(8, 12, 8, 8\), got \(1,\)"):
        vid_loss(student, teacher, torch.ones(1))
    with pytest.raises(ValueError, match="'mean' or 'sum', got 'none'"):
        vid_loss(student, teacher, torch.ones(12), reduction="none")
