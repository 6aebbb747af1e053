from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.nkd import nkd_loss


@pytest.mark.parametrize(("gamma", "temperature"), [(1.5, 1.0), (3.5, 3.0)])
def test_oracle(oracle, inputs: SimpleNamespace, gamma: float, temperature: float) -> None:
    arguments, name = (inputs.student_logits, inputs.teacher_logits, inputs.target), f"nkd_g{gamma}_T{temperature:g}"
    oracle.check(name, nkd_loss(*arguments, gamma=gamma, temperature=temperature), inputs.student_logits)
    target_term = nkd_loss(*arguments, gamma=0.0, temperature=temperature)
    assert target_term.item() == pytest.approx(oracle.cases[name]["target_term"], rel=1e-9)


def test_least_in_the_other_logits_where_they_agree_with_the_teacher(inputs: SimpleNamespace) -> None:
    teacher = inputs.teacher_logits.detach()
    others = torch.ones(8, 20).scatter(1, inputs.target[:, None], 0.0)
    student = teacher.clone().requires_grad_()
    value = nkd_loss(student, teacher, inputs.target, gamma=1.0, temperature=2.0)
    only_target = nkd_loss(student, teacher, inputs.target, gamma=0.0, temperature=2.0)
    assert torch.autograd.grad(value - only_target, student)[0].abs().max() < 1e-15
    moved = nkd_loss(teacher + 0.1 * torch.randn(8, 20) * others, teacher, inputs.target, gamma=1e6, temperature=2.0)
    assert moved > nkd_loss(teacher, teacher, inputs.target, gamma=1e6, temperature=2.0)


def test_two_classes_leave_the_target_term(inputs: SimpleNamespace) -> None:
    arguments = inputs.student_logits[:, :2], inputs.teacher_logits[:, :2], inputs.target % 2
    with_other = nkd_loss(*arguments, gamma=9.0, temperature=2.0)
    assert with_other.item() == nkd_loss(*arguments, gamma=0.0, temperature=2.0).item()


def test_unlabelled_samples_are_left_out(inputs: SimpleNamespace) -> None:
    student, teacher, target = inputs.student_logits, inputs.teacher_logits, inputs.target.clone()
    labelled = nkd_loss(student[2:], teacher[2:], target[2:], gamma=1.5, temperature=1.0)
    target[:2] = -1
    assert nkd_loss(student, teacher, target, gamma=1.5, temperature=1.0).item() == pytest.approx(labelled.item())
