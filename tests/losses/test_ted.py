from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.rid import rid_mismatch
from kdlight.losses.ted import ted_loss


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    value = sum(map(ted_loss, inputs.student_feats, inputs.teacher_feats_same_width))
    oracle.check("ted_distance", value, *inputs.student_feats)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_equals_the_rid_mismatch_at_unit_variance(inputs: SimpleNamespace, reduction: str) -> None:
    student, teacher = inputs.student_feats[2], inputs.teacher_feats_same_width[2]
    mismatch = rid_mismatch(student, teacher, torch.ones(16), reduction=reduction)
    assert ted_loss(student, teacher, reduction=reduction).item() == pytest.approx(mismatch.item(), rel=1e-12)


def test_permutable_and_zero_where_the_maps_agree(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_feats[2], inputs.teacher_feats_same_width[2], torch.randperm(8)
    assert ted_loss(student, student).item() == 0.0
    assert ted_loss(student[order], teacher[order]).item() == pytest.approx(ted_loss(student, teacher).item())


def test_gradient() -> None:
    student, teacher = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(lambda s: ted_loss(s, teacher), student)
    assert torch.autograd.grad(ted_loss(student, teacher), teacher, allow_unused=True) == (None,)


def test_shapes_must_agree(inputs: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match=r"\(8, 12, 8, 8\) and \(8, 16, 4, 4\)"):
        ted_loss(inputs.student_feats[1], inputs.student_feats[2])
