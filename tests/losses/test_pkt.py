from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.pkt import pkt_loss


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    oracle.check("pkt", pkt_loss(inputs.student_pooled, inputs.teacher_pooled), inputs.student_pooled)


def test_is_a_divergence_of_rows(inputs: SimpleNamespace) -> None:
    def conditional(rows: torch.Tensor) -> torch.Tensor:
        similarity = torch.cosine_similarity(rows[None].detach(), rows[:, None].detach(), dim=2) + 1
        return similarity / similarity.sum(1, keepdim=True)

    student, teacher = conditional(inputs.student_pooled), conditional(inputs.teacher_pooled)
    divergence = torch.distributions.kl_divergence(
        torch.distributions.Categorical(teacher), torch.distributions.Categorical(student)
    )
    value = pkt_loss(inputs.student_pooled, inputs.teacher_pooled)
    assert value.item() == pytest.approx((divergence.mean() / 8).item(), rel=1e-4)


def test_invariant_to_scale_and_batch_order_and_zero_where_they_agree(inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_pooled, inputs.teacher_pooled, torch.randperm(8)
    value = pkt_loss(student, teacher).item()
    assert pkt_loss(5 * student[order], teacher[order]).item() == pytest.approx(value, rel=1e-5)
    assert pkt_loss(student, student).item() == 0.0


def test_gradient() -> None:
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(lambda s: pkt_loss(s, teacher), student)
    assert torch.autograd.grad(pkt_loss(student, teacher), teacher, allow_unused=True) == (None,)


def test_a_dead_embedding_has_a_finite_gradient() -> None:
    student = torch.zeros(3, 4, requires_grad=True)
    pkt_loss(student, torch.randn(3, 5)).backward()
    assert student.grad.isfinite().all()


def test_batches_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(8, 3\) and \(1, 3\)"):
        pkt_loss(torch.ones(8, 3), torch.ones(1, 3))
