from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.ctkd import ctkd_reversal, ctkd_temperature, scale_gradient
from kdlight.losses.kd import kd_loss


@pytest.mark.parametrize("epoch", [1, 5, 10])
def test_oracle(oracle, inputs: SimpleNamespace, epoch: int) -> None:
    case = oracle.cases[f"ctkd_global_epoch{epoch}"]
    parameter = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    temperature = ctkd_temperature(scale_gradient(parameter, ctkd_reversal(epoch)))
    assert temperature.item() == pytest.approx(case["temperature"], rel=1e-9)
    value = kd_loss(inputs.student_logits, inputs.teacher_logits, temperature=temperature)
    oracle.check(case["name"], value.squeeze(), inputs.student_logits, parameter)


def test_oracle_of_the_schedule(oracle) -> None:
    schedule = oracle.cases["ctkd_global_epoch1"]["schedule"]["cosine, max 0, min -1, loops 10 (epochs count from 1)"]
    for epoch, factor in schedule.items():
        assert ctkd_reversal(int(epoch)) == pytest.approx(factor, rel=1e-9, abs=1e-15)
    with pytest.raises(ValueError, match="at least 1 epoch of curriculum, got 0"):
        ctkd_reversal(1, epochs=0)


def test_temperature_stays_between_its_ends() -> None:
    ends = ctkd_temperature(torch.tensor([-1e4, 0.0, 1e4]), start=2.0, span=6.0)
    assert ends.tolist() == [2.0, 5.0, 8.0]


def test_scaled_gradient_leaves_the_values() -> None:
    values = torch.randn(3, requires_grad=True)
    scaled = scale_gradient(values, -0.5)
    assert torch.equal(scaled, values)
    (3 * scaled).sum().backward()
    assert values.grad.tolist() == [-1.5] * 3
