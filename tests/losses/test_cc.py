from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from kdlight.losses.cc import cc_loss


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    student = inputs.student_pooled
    oracle.check("cc_no_embedding", cc_loss(student, inputs.teacher_pooled[:, :16]), student)


def test_oracle_with_embeddings(oracle, inputs: SimpleNamespace) -> None:
    student_weight, student_bias, teacher_weight, teacher_bias = oracle.fill("cc_embed8").values()
    student = F.linear(inputs.student_pooled, student_weight, student_bias)
    teacher = F.linear(inputs.teacher_pooled, teacher_weight, teacher_bias)
    oracle.check("cc_embed8", cc_loss(student, teacher), inputs.student_pooled, student_weight, teacher_weight)


def test_two_samples() -> None:
    student, teacher = torch.tensor([[1.0, 2.0], [3.0, -1.0]]), torch.tensor([[0.0, 4.0], [1.0, 1.0]])
    assert cc_loss(student, teacher).item() == 1 * 2 + 2 * 2


def test_symmetric_reversible_and_zero_where_they_agree(inputs: SimpleNamespace) -> None:
    student, teacher = inputs.student_pooled, inputs.teacher_pooled[:, :16]
    value = cc_loss(student, teacher).item()
    assert cc_loss(teacher.flip(0), student.flip(0)).item() == pytest.approx(value, rel=1e-12)
    assert cc_loss(student, student).item() == 0.0


def test_depends_on_the_order_of_the_batch(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_pooled, inputs.teacher_pooled[:, :16], [0, 4, 1, 5, 2, 6, 3, 7]
    assert cc_loss(student[order], teacher[order]).item() != pytest.approx(cc_loss(student, teacher).item(), rel=1e-3)


def test_gradient_reaches_both() -> None:
    embeddings = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(cc_loss, embeddings)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"at least 2, got \(1, 4\) and \(1, 4\)"):
        cc_loss(torch.ones(1, 4), torch.ones(1, 4))
    with pytest.raises(ValueError, match=r"\(3, 4\) and \(3, 1\)"):
        cc_loss(torch.ones(3, 4), torch.ones(3, 1))
