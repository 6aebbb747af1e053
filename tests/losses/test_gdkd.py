from types import SimpleNamespace

import pytest

from kdlight.losses.gdkd import gdkd_loss
from kdlight.losses.kd import kd_loss


def weighted(inputs: SimpleNamespace, top: int, binary: float, within: float, other: float):
    return gdkd_loss(
        inputs.student_logits,
        inputs.teacher_logits,
        top=top,
        binary_weight=binary,
        top_weight=within,
        other_weight=other,
        temperature=4.0,
    )


def test_oracle(oracle, inputs: SimpleNamespace) -> None:
    oracle.check("gdkd_top5_w1_1_8_T4", weighted(inputs, 5, 1, 1, 8), inputs.student_logits)


def test_parts_sum_to_the_whole(inputs: SimpleNamespace) -> None:
    parts = weighted(inputs, 5, 1, 0, 0) + weighted(inputs, 5, 0, 1, 0) + 8 * weighted(inputs, 5, 0, 0, 1)
    assert weighted(inputs, 5, 1, 1, 8).item() == pytest.approx(parts.item(), rel=1e-12)


def test_all_classes_as_top_give_kd(inputs: SimpleNamespace) -> None:
    kd = kd_loss(inputs.student_logits, inputs.teacher_logits, temperature=4.0)
    assert weighted(inputs, 20, 1, 1, 8).item() == pytest.approx(kd.item(), rel=1e-12)


def test_zero_at_student_equal_to_teacher(inputs: SimpleNamespace) -> None:
    inputs.teacher_logits = inputs.student_logits
    assert weighted(inputs, 5, 1, 1, 8).item() == 0.0
