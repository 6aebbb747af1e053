from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.logit_mse import logit_mse_loss


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    case = oracle.cases["logit_mse_limit_T10000"]
    value = logit_mse_loss(inputs.student_logits, inputs.teacher_logits)
    assert value.item() == pytest.approx(case["limit_value"], rel=1e-9)
    (gradient,) = torch.autograd.grad(value, inputs.student_logits)
    assert gradient.norm().item() == pytest.approx(case["limit_grad_norm"], rel=1e-9)
    assert gradient[0, :3].tolist() == pytest.approx(case["limit_grad_first_3"], rel=1e-9)


def test_zero_where_the_logits_differ_by_a_constant(inputs: SimpleNamespace) -> None:
    logits = inputs.student_logits.detach()
    assert logit_mse_loss(logits, logits).item() == 0.0
    assert logit_mse_loss(logits, logits + 5.0).item() < 1e-28


def test_centred_logits_give_half_the_mean_squared_error(inputs: SimpleNamespace) -> None:
    student, teacher = (
        logits.detach() - logits.detach().mean(1, keepdim=True)
        for logits in (inputs.student_logits, inputs.teacher_logits)
    )
    plain = 0.5 * torch.nn.functional.mse_loss(student, teacher)
    assert logit_mse_loss(student, teacher).item() == pytest.approx(plain.item(), rel=1e-12)
