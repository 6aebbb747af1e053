from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.at import at_loss
from kdlight.losses.parts.attention import compute_attention_map


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    value = sum(map(at_loss, inputs.student_feats, inputs.teacher_feats))
    oracle.check("at_p2", value, *inputs.student_feats)


def test_attention_is_a_unit_vector_of_energy() -> None:
    feature = torch.zeros(1, 3, 2, 2)
    feature[0, :, 0, 0], feature[0, 1, 1, 1] = 2.0, 4.0
    torch.testing.assert_close(compute_attention_map(feature), torch.tensor([[0.6, 0.0, 0.0, 0.8]]))


def test_invariant_to_scale_channel_order_and_batch_order(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_feats[2], inputs.teacher_feats[2], torch.randperm(8)
    value = at_loss(student, teacher).item()
    assert at_loss(3 * student.flip(1), teacher).item() == pytest.approx(value, rel=1e-12)
    assert at_loss(student[order], teacher[order]).item() == pytest.approx(value, rel=1e-12)
    assert at_loss(student, 2 * student).item() < 1e-30


def test_larger_map_is_pooled(inputs: SimpleNamespace) -> None:
    student, teacher = inputs.student_feats[2], inputs.teacher_feats[1]
    pooled = torch.nn.functional.avg_pool2d(teacher, 2)
    assert at_loss(student, teacher).item() == at_loss(student, pooled).item()
    assert at_loss(teacher, student).item() == at_loss(pooled, student).item()


def test_gradient() -> None:
    student, teacher = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(lambda s: at_loss(s, teacher), student)
    assert torch.autograd.grad(at_loss(student, teacher), teacher, allow_unused=True) == (None,)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"\(8, 3, 4, 4\) and \(1, 3, 4, 4\)"):
        at_loss(torch.ones(8, 3, 4, 4), torch.ones(1, 3, 4, 4))
    with pytest.raises(ValueError, match=r"\(8, 3\) and \(8, 3, 4, 4\); pass feature maps, not embeddings"):
        at_loss(torch.ones(8, 3), torch.ones(8, 3, 4, 4))
    with pytest.raises(ValueError, match=r"\(8, 3, 4, 2\) and \(8, 3, 2, 4\)"):
        at_loss(torch.ones(8, 3, 4, 2), torch.ones(8, 3, 2, 4))
