import statistics
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from kdlight.losses.ofd import ofd_loss, ofd_margin


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    student, teacher = inputs.student_feats[1], inputs.teacher_feats_same_width[1]
    margin = torch.full((12,), -0.3, dtype=torch.float64)
    oracle.check("ofd_feat_margin", ofd_loss(student, teacher, margin), student)


def test_margin_of_the_reference_and_of_a_constant_channel() -> None:
    scale, shift = (
        torch.tensor([[1.0, 0.0], [0.5, 0.3], [0.2, 0.9], [-0.2, 0.9], [0, 0.7], [0, 0], [0, -0.7]]).double().T
    )
    expected = [-0.7978846, -0.3075129, -0.6, -0.6, 0.0, 0.0, -0.7]
    assert ofd_margin(scale, shift).tolist() == pytest.approx(expected, abs=1e-7)
    assert ofd_margin(scale.float(), shift.float()).tolist() == pytest.approx(expected, abs=1e-6)


def test_margin_is_the_mean_of_the_negative_samples() -> None:
    sample = 0.5 * torch.randn(1_000_000) + 0.3
    margin = ofd_margin(torch.tensor([0.5]), torch.tensor([0.3]))
    assert margin.item() == pytest.approx(sample[sample < 0].mean().item(), abs=5e-3)


@pytest.mark.parametrize(("negative", "cut"), [(0.01, False), (0.002, False), (0.0005, True)])
def test_three_deviations_stand_for_a_channel_that_is_hardly_ever_negative(negative: float, cut: bool) -> None:
    normal = statistics.NormalDist()
    shift = -normal.inv_cdf(negative)
    mean = shift - normal.pdf(shift) / negative
    margin = ofd_margin(torch.ones(1, dtype=torch.float64), torch.tensor([shift], dtype=torch.float64))
    assert margin.item() == pytest.approx(-3.0 if cut else mean, rel=1e-6)


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [(1.0, -2.0, 2.25), (-0.7, -2.0, 0.0), (1.0, -0.2, 1.44), (-0.3, -0.2, 0.0), (-1.0, 2.0, 9.0), (3.0, 2.0, 1.0)],
)
def test_one_neuron_at_margin_half(student: float, teacher: float, expected: float) -> None:
    maps = torch.full((1, 1, 1, 1), student), torch.full((1, 1, 1, 1), teacher)
    assert ofd_loss(*maps, torch.tensor([-0.5])).item() == pytest.approx(expected, rel=1e-6)


def test_permutable_pooled_and_zero_at_the_target(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_feats[2], inputs.teacher_feats_same_width[2], torch.randperm(8)
    margin = -torch.rand(16, dtype=torch.float64)
    value = ofd_loss(student, teacher, margin).item()
    assert ofd_loss(student[order], teacher[order], margin).item() == pytest.approx(value, rel=1e-12)
    assert ofd_loss(student, F.interpolate(teacher, scale_factor=2), margin).item() == pytest.approx(value, rel=1e-12)
    assert ofd_loss(torch.maximum(teacher, margin.view(-1, 1, 1)), teacher, margin).item() == 0.0


def test_gradient() -> None:
    student, teacher = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True).unbind()
    margin = torch.full((3,), -0.5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: ofd_loss(s, teacher, margin), student)
    assert torch.autograd.grad(ofd_loss(student, teacher, margin), teacher, allow_unused=True) == (None,)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"\(8, 3, 4, 4\) and \(8, 1, 4, 4\)"):
        ofd_loss(torch.ones(8, 3, 4, 4), torch.ones(8, 1, 4, 4), torch.zeros(3))
    with pytest.raises(ValueError, match=r"one value per channel of \(8, 3, 4, 4\), got \(1,\)"):
        ofd_loss(torch.ones(8, 3, 4, 4), torch.ones(8, 3, 4, 4), torch.zeros(1))
