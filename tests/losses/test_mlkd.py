from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from kdlight.losses.kd import kd_loss
from kdlight.losses.mlkd import mlkd_batch_loss, mlkd_class_loss, mlkd_kept_fractions

LEVELS = {"class": mlkd_class_loss, "batch": mlkd_batch_loss}


@pytest.mark.parametrize("level", LEVELS)
def test_oracle(oracle, inputs: SimpleNamespace, level: str) -> None:
    value = LEVELS[level](inputs.student_logits, inputs.teacher_logits, temperature=4.0)
    oracle.check(f"mlkd_{level}_correlation_T4", value, inputs.student_logits)


@pytest.mark.parametrize("views", ["same_view_twice", "two_views"])
def test_oracle_of_the_authors_total(oracle, inputs: SimpleNamespace, views: str) -> None:
    case = oracle.cases[f"mlkd_total_{views}"]
    weak, weak_teacher = inputs.student_logits, inputs.teacher_logits
    strong, strong_teacher = weak.detach().clone(), weak_teacher
    if views == "two_views":
        strong, strong_teacher = (0.5 * weak + 0.25 * weak_teacher).detach(), 0.8 * weak_teacher
    strong.requires_grad_()
    samples, classes = mlkd_kept_fractions(weak_teacher)
    assert samples.item() == case["sample_mask_fraction"]
    assert classes.item() == case["class_mask_fraction"]

    def over_temperatures(loss, student, teacher, temperatures=(4, 3, 5, 2, 6)):
        return sum(loss(student, teacher, temperature=t) for t in temperatures)

    # The slip of the authors' code: at T 2 and 6 the strong view's term is computed from the weak view.
    strong_kd = over_temperatures(kd_loss, strong, strong_teacher, (4, 3, 5)) + over_temperatures(
        kd_loss, weak, weak_teacher, (2, 6)
    )
    parts = {
        "loss_ce": 0.1 * (F.cross_entropy(weak, inputs.target) + F.cross_entropy(strong, inputs.target)),
        "loss_kd": 0.9 * (samples * over_temperatures(kd_loss, weak, weak_teacher) + strong_kd),
        "loss_cc": 0.9 * classes * over_temperatures(mlkd_class_loss, weak, weak_teacher),
        "loss_bc": 0.9 * samples * over_temperatures(mlkd_batch_loss, weak, weak_teacher),
    }
    assert {name: part.item() for name, part in parts.items()} == pytest.approx(case["components"], rel=1e-9)
    oracle.check(f"mlkd_total_{views}", sum(parts.values()), weak, strong)


@pytest.mark.parametrize("level", LEVELS)
def test_zero_at_student_equal_to_teacher(inputs: SimpleNamespace, level: str) -> None:
    assert LEVELS[level](inputs.student_logits, inputs.student_logits, temperature=4.0).item() == 0.0


def test_class_order_does_not_matter(inputs: SimpleNamespace) -> None:
    order = torch.randperm(20)
    for loss in LEVELS.values():
        value = loss(inputs.student_logits, inputs.teacher_logits, temperature=2.0)
        permuted = loss(inputs.student_logits[:, order], inputs.teacher_logits[:, order], temperature=2.0)
        assert permuted.item() == pytest.approx(value.item(), rel=1e-12)


def test_kept_fractions_of_odd_numbers_and_ties() -> None:
    samples, classes = mlkd_kept_fractions(torch.diag(torch.arange(1.0, 6.0)))
    assert (samples.item(), classes.item()) == pytest.approx((3 / 5, 3 / 5))
    samples, classes = mlkd_kept_fractions(torch.zeros(4, 6))
    assert (samples.item(), classes.item()) == (1, 1)
