from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from kdlight.losses.kd import kd_loss, soft_cross_entropy_loss
from kdlight.losses.logit_mse import logit_mse_loss


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_oracle(oracle, inputs: SimpleNamespace, temperature: float) -> None:
    value = kd_loss(inputs.student_logits, inputs.teacher_logits, temperature=temperature)
    oracle.check(f"kd_T{temperature:g}", value, inputs.student_logits)


def test_oracle_of_the_soft_cross_entropy(oracle, inputs: SimpleNamespace) -> None:
    case = oracle.cases["hinton_soft_hard_t4"]
    soft = soft_cross_entropy_loss(inputs.student_logits, inputs.teacher_logits, temperature=4.0)
    assert soft.item() == pytest.approx(case["soft_term"], rel=1e-9)
    oracle.check(
        "hinton_soft_hard_t4", soft + F.cross_entropy(inputs.student_logits, inputs.target), inputs.student_logits
    )
    entropy = soft - kd_loss(inputs.student_logits, inputs.teacher_logits, temperature=4.0)
    assert entropy.item() == pytest.approx(16 * case["teacher_entropy_at_t"], rel=1e-9)


def test_limit_of_high_temperature_is_logit_matching(inputs: SimpleNamespace) -> None:
    logits = inputs.student_logits, inputs.teacher_logits
    assert kd_loss(*logits, temperature=1e4).item() == pytest.approx(logit_mse_loss(*logits).item(), rel=1e-4)


def test_zero_at_student_equal_to_teacher(inputs: SimpleNamespace) -> None:
    value = kd_loss(inputs.student_logits, inputs.student_logits.detach(), temperature=3.0)
    assert value.item() == 0.0
    assert torch.autograd.grad(value, inputs.student_logits)[0].abs().max() < 1e-15


def test_gradient_of_a_learned_temperature(inputs: SimpleNamespace) -> None:
    temperature = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda t: kd_loss(inputs.student_logits.detach(), inputs.teacher_logits, temperature=t), temperature
    )


def test_temperature_must_be_positive(inputs: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="positive temperature, got 0"):
        kd_loss(inputs.student_logits, inputs.teacher_logits, temperature=0.0)
