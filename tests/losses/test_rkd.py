from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.rkd import rkd_angle_loss, rkd_distance_loss, rkd_loss


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    value = rkd_loss(inputs.student_pooled, inputs.teacher_pooled, distance_weight=25, angle_weight=50)
    oracle.check("rkd_25_50", value, inputs.student_pooled)


def test_parts_sum_to_the_whole(inputs: SimpleNamespace) -> None:
    embeddings = inputs.student_pooled, inputs.teacher_pooled
    whole = rkd_loss(*embeddings, distance_weight=2.0, angle_weight=3.0)
    assert whole.item() == pytest.approx((2 * rkd_distance_loss(*embeddings) + 3 * rkd_angle_loss(*embeddings)).item())


def test_angles_of_a_right_and_a_straight_triangle() -> None:
    right, straight = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0], [1.0], [2.0]])
    # Cosines at the three corners; every corner appears twice among the 27 triplets.
    pairs = [(0.0, 1.0), (0.5**0.5, -1.0), (0.5**0.5, 1.0)]
    expected = sum(2 * (abs(a - b) - 0.5 if abs(a - b) > 1 else 0.5 * (a - b) ** 2) for a, b in pairs) / 27
    assert rkd_angle_loss(right, straight).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [rkd_distance_loss, rkd_angle_loss])
def test_invariant_to_motion_scale_and_batch_order_and_zero_where_they_agree(loss, inputs: SimpleNamespace) -> None:
    student, teacher, order = inputs.student_pooled, inputs.teacher_pooled, torch.randperm(8)
    rotation = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64)).Q
    value = loss(student, teacher).item()
    assert loss(3 * student @ rotation + 5, teacher).item() == pytest.approx(value, rel=1e-9)
    assert loss(student[order], teacher[order]).item() == pytest.approx(value, rel=1e-9)
    assert loss(student, student).item() == 0.0


@pytest.mark.parametrize("loss", [rkd_distance_loss, rkd_angle_loss])
def test_gradient_also_of_equal_embeddings(loss) -> None:
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student)
    assert torch.autograd.grad(loss(student, teacher), teacher, allow_unused=True) == (None,)
    for student in (torch.zeros(3, 4), torch.ones(1, 4) * torch.tensor([[1.0], [1.0], [2.0]])):
        loss(student.requires_grad_(), torch.randn(3, 5)).backward()
        assert student.grad.abs().max() < 10.0


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"at least 2, got \(1, 4\) and \(1, 4\)"):
        rkd_loss(torch.ones(1, 4), torch.ones(1, 4), distance_weight=25, angle_weight=50)
