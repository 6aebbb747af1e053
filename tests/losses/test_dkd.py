from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.dkd import dkd_loss


@pytest.mark.parametrize(("beta", "temperature"), [(8, 4), (2, 4), (6, 4), (0.5, 1)])
def test_oracle(oracle, inputs: SimpleNamespace, beta: float, temperature: float) -> None:
    logits = inputs.student_logits, inputs.teacher_logits
    value = dkd_loss(*logits, inputs.target, alpha=1, beta=beta, temperature=temperature)
    oracle.check(f"dkd_a1_b{beta:g}_T{temperature}", value, logits[0])


def test_parts_sum_to_the_whole(inputs: SimpleNamespace) -> None:
    arguments = inputs.student_logits, inputs.teacher_logits, inputs.target
    tckd = dkd_loss(*arguments, alpha=1.0, beta=0.0, temperature=4.0)
    nckd = dkd_loss(*arguments, alpha=0.0, beta=1.0, temperature=4.0)
    whole = dkd_loss(*arguments, alpha=3.0, beta=7.0, temperature=4.0)
    assert whole.item() == pytest.approx((3 * tckd + 7 * nckd).item(), rel=1e-12)


def test_zero_at_student_equal_to_teacher_and_without_nckd_at_two_classes(inputs: SimpleNamespace) -> None:
    logits = inputs.student_logits
    assert dkd_loss(logits, logits, inputs.target, alpha=1.0, beta=8.0, temperature=4.0).item() == 0.0
    student, teacher = logits[:, :2], inputs.teacher_logits[:, :2]
    assert dkd_loss(student, teacher, inputs.target % 2, alpha=0.0, beta=8.0, temperature=4.0).item() == 0.0


def test_unlabelled_samples_are_left_out(inputs: SimpleNamespace) -> None:
    student, teacher, target = inputs.student_logits, inputs.teacher_logits, inputs.target.clone()
    weights = {"alpha": 1.0, "beta": 8.0, "temperature": 4.0}
    labelled = dkd_loss(student[2:], teacher[2:], target[2:], **weights)
    target[:2] = -1
    value = dkd_loss(student, teacher, target, **weights)
    assert value.item() == pytest.approx(labelled.item(), rel=1e-12)
    assert torch.autograd.grad(value, student)[0][:2].abs().max() == 0.0
    assert dkd_loss(student, teacher, torch.full_like(target, -1), **weights).item() == 0.0


def test_one_target_a_sample(inputs: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match=r"\(8, 20\), got a target of shape \(8, 1\)"):
        dkd_loss(inputs.student_logits, inputs.teacher_logits, inputs.target[:, None], alpha=1, beta=8, temperature=4)
