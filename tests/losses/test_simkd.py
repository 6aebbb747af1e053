from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kdlight.losses.parts.pooling import pool_to_smaller
from kdlight.losses.simkd import simkd_loss


@pytest.mark.parametrize(("name", "stage"), [("simkd_last_f2", 2), ("simkd_mid_pooled_f2", 1)])
def test_oracle(oracle, inputs: SimpleNamespace, name: str, stage: int) -> None:
    case, filled = oracle.cases[name], oracle.fill(name)
    narrow = nn.Conv2d(inputs.student_feats[stage].shape[1], 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
    middle = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
    projector = nn.Sequential(
        *narrow, *middle, nn.Conv2d(16, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()
    ).double()
    parameters = {key.removeprefix("transfer."): value for key, value in filled.items() if key.startswith("transfer")}
    student = inputs.student_feats[stage]
    pooled, teacher = pool_to_smaller(student, inputs.teacher_feats[2])
    projected = torch.func.functional_call(projector, parameters, pooled)
    oracle.check(name, simkd_loss(projected, teacher), student, parameters["0.weight"])
    logits = F.linear(projected.mean((2, 3)), filled["teacher_classifier.weight"], filled["teacher_classifier.bias"])
    assert logits[0, :3].tolist() == pytest.approx(case["logits_first_3"], rel=1e-9)


def test_symmetric_permutable_and_zero_where_they_agree(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_feats[2], inputs.teacher_feats_same_width[2], torch.randperm(8)
    value = simkd_loss(student, teacher).item()
    assert simkd_loss(teacher[order], student[order]).item() == pytest.approx(value, rel=1e-12)
    assert simkd_loss(student, student - 2).item() == pytest.approx(4.0)
    assert simkd_loss(student, student).item() == 0.0


def test_gradient() -> None:
    student, teacher = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(lambda s: simkd_loss(s, teacher), student)
    assert torch.autograd.grad(simkd_loss(student, teacher), teacher, allow_unused=True) == (None,)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(8, 3, 4, 4\) and \(8, 3, 1, 1\)"):
        simkd_loss(torch.ones(8, 3, 4, 4), torch.ones(8, 3, 1, 1))
