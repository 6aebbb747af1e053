from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.ab import ab_loss


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    case = oracle.cases["ab_margin1"]
    stages = zip(case["layer_weights"], inputs.student_feats, inputs.teacher_feats_same_width, strict=True)
    values = [weight * 3 / 1000 * ab_loss(s, t, margin=case["margin"]) for weight, s, t in stages]
    assert [value.item() for value in values] == pytest.approx(case["per_layer"], rel=1e-9)
    oracle.check("ab_margin1", sum(values), *inputs.student_feats)


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [(0.5, 2.0, 0.25), (-0.5, 2.0, 2.25), (3.0, 2.0, 0.0), (0.5, -2.0, 2.25), (-0.5, 0.0, 0.25), (-1.0, 0.0, 0.0)],
)
def test_one_neuron(student: float, teacher: float, expected: float) -> None:
    maps = torch.full((1, 1, 1, 1), student), torch.full((1, 1, 1, 1), teacher)
    assert ab_loss(*maps, margin=1.0).item() == expected


def test_permutable_and_zero_beyond_the_margin(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_feats[2], inputs.teacher_feats_same_width[2], torch.randperm(8)
    value = ab_loss(student, teacher, margin=1.0).item()
    assert ab_loss(student[order], 7 * teacher[order], margin=1.0).item() == pytest.approx(value, rel=1e-12)
    assert ab_loss(teacher + 1.5 * teacher.sign(), teacher, margin=1.0).item() == 0.0


def test_gradient() -> None:
    student, teacher = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(lambda s: ab_loss(s, teacher, margin=1.0), student)
    assert torch.autograd.grad(ab_loss(student, teacher, margin=1.0), teacher, allow_unused=True) == (None,)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(8, 3, 4, 4\) and \(8, 1, 4, 4\)"):
        ab_loss(torch.ones(8, 3, 4, 4), torch.ones(8, 1, 4, 4), margin=1.0)
