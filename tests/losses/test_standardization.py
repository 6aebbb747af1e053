from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.kd import kd_loss
from kdlight.losses.standardization import standardize


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    value = kd_loss(standardize(inputs.student_logits), standardize(inputs.teacher_logits), temperature=2.0)
    oracle.check("kd_standardised_T2", value, inputs.student_logits)


def test_invariant_to_shift_and_scale(inputs: SimpleNamespace) -> None:
    logits = inputs.student_logits.detach()
    torch.testing.assert_close(standardize(3 * logits + 5), standardize(logits), atol=1e-6, rtol=0)
    assert (standardize(logits).std(1) - 1).abs().max() < 1e-6


def test_gradient() -> None:
    logits = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(standardize, logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("classes", [2, 1000])
def test_finite_at_gaps_of_ten_thousand(classes: int, dtype: torch.dtype) -> None:
    logits = (1e4 * torch.rand(4, classes)).to(dtype).requires_grad_()
    standardized = standardize(logits)
    assert standardized.dtype == torch.float32
    assert standardized.isfinite().all()
    assert torch.autograd.grad(standardized[:, 0].sum(), logits)[0].isfinite().all()
