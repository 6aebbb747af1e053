from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kdlight.losses.dist import dist_loss


@pytest.mark.parametrize("temperature", [1, 4])
def test_oracle(oracle, inputs: SimpleNamespace, temperature: int) -> None:
    value = dist_loss(inputs.student_logits, inputs.teacher_logits, beta=1, gamma=1, temperature=temperature)
    oracle.check(f"dist_b1_g1_tau{temperature}", value, inputs.student_logits)


def test_parts_are_numpys_correlations(inputs: SimpleNamespace) -> None:
    logits = inputs.student_logits.detach(), inputs.teacher_logits.detach()
    student, teacher = ((x / 2).softmax(1).numpy() for x in logits)
    for weights, pairs in (
        ((3, 0), zip(student, teacher, strict=True)),
        ((0, 3), zip(student.T, teacher.T, strict=True)),
    ):
        correlation = np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])
        value = dist_loss(*logits, beta=weights[0], gamma=weights[1], temperature=2.0)
        assert value.item() == pytest.approx(12 * (1 - correlation), rel=1e-4)


def test_zero_at_student_equal_to_teacher(inputs: SimpleNamespace) -> None:
    logits = inputs.student_logits.detach()
    assert dist_loss(logits, logits, beta=1, gamma=1, temperature=1.0).item() == pytest.approx(0.0, abs=1e-5)


def test_two_classes_have_next_to_no_inter_class_gradient(inputs: SimpleNamespace) -> None:
    student = inputs.student_logits
    value = dist_loss(student[:, :2], inputs.teacher_logits[:, :2], beta=1, gamma=0, temperature=4.0)
    assert torch.autograd.grad(value, student)[0].abs().max() < 1e-5
