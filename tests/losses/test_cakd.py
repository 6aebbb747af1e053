from types import SimpleNamespace

import pytest
import torch

from kdlight.losses.cakd import cakd_loss
from kdlight.losses.dkd import dkd_loss
from kdlight.losses.gdkd import gdkd_loss
from kdlight.losses.kd import kd_loss
from kdlight.losses.parts.decoupling import cakd_divergences
from kdlight.losses.parts.masks import mask_target, mask_top

WEIGHTS = {"1_1_8": (1, 1, 8), "binary": (1, 0, 0), "strong": (0, 1, 0), "weak": (0, 0, 1)}


@pytest.mark.parametrize("name", WEIGHTS)
def test_oracle_of_the_top_classes(oracle, inputs: SimpleNamespace, name: str) -> None:
    logits = inputs.student_logits, inputs.teacher_logits
    terms = cakd_divergences(*logits, mask_top(logits[1], 5), temperature=4.0)
    weighted = sum(w * term.mean() * 16 for w, term in zip(WEIGHTS[name], terms[:3], strict=True))
    oracle.check("gdkd_top5_" + ("w1_1_8_T4" if name == "1_1_8" else f"only_{name}_T4"), weighted, logits[0])


@pytest.mark.parametrize("size", [0, 1, 5, 20])
def test_teachers_masses_give_kd_in_value_and_gradient(inputs: SimpleNamespace, size: int) -> None:
    logits = inputs.student_logits, inputs.teacher_logits
    strong = torch.rand(8, 20).argsort(1) < size
    terms = cakd_divergences(*logits, strong, temperature=3.0)
    whole = cakd_loss(*logits, strong, alpha=terms.strong_mass, beta=terms.weak_mass, temperature=3.0)
    torch.testing.assert_close(terms.strong_mass + terms.weak_mass, torch.ones(8, dtype=torch.float64))
    for value in (whole, 9 * (terms.binary + terms.strong_mass * terms.strong + terms.weak_mass * terms.weak).mean()):
        assert value.item() == pytest.approx(kd_loss(*logits, temperature=3.0).item(), rel=1e-12)
        gradients = [
            torch.autograd.grad(v, logits[0], retain_graph=True)[0] for v in (value, kd_loss(*logits, temperature=3.0))
        ]
        torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-14)


def test_target_as_strong_set_gives_dkd_and_no_strong_divergence(inputs: SimpleNamespace) -> None:
    logits = inputs.student_logits, inputs.teacher_logits
    strong = mask_target(logits[0], inputs.target)
    assert cakd_divergences(*logits, strong, temperature=4.0).strong.abs().max() == 0.0
    dkd = dkd_loss(*logits, inputs.target, alpha=1.0, beta=8.0, temperature=4.0)
    assert cakd_loss(*logits, strong, alpha=5.0, beta=8.0, temperature=4.0).item() == pytest.approx(
        dkd.item(), rel=1e-12
    )


def test_zero_at_student_equal_to_teacher_and_never_negative(inputs: SimpleNamespace) -> None:
    strong = torch.rand(8, 20) < 0.5
    same = cakd_divergences(inputs.student_logits, inputs.student_logits, strong, temperature=2.0)
    assert all(term.abs().max() == 0.0 for term in same[:3])
    other = cakd_divergences(inputs.student_logits, inputs.teacher_logits, strong, temperature=2.0)
    assert all(term.min() > 0.0 for term in other[:3])


def test_a_constant_added_to_the_strong_logits_changes_the_binary_divergence_alone(inputs: SimpleNamespace) -> None:
    student, teacher, strong = inputs.student_logits, inputs.teacher_logits, torch.rand(8, 20) < 0.5
    before, after = (cakd_divergences(s, teacher, strong, temperature=2.0) for s in (student, student + 3.0 * strong))
    torch.testing.assert_close(after.strong, before.strong)
    torch.testing.assert_close(after.weak, before.weak)
    assert (after.binary - before.binary).abs().min() > 1e-3


def test_errors(inputs: SimpleNamespace) -> None:
    logits = inputs.student_logits, inputs.teacher_logits
    with pytest.raises(ValueError, match=r"\(8, 20\) and \(1, 20\)"):
        cakd_divergences(*logits, torch.ones(1, 20, dtype=torch.bool), temperature=1.0)
    with pytest.raises(ValueError, match=r"boolean mask.*got torch\.float32"):
        cakd_divergences(*logits, torch.ones(8, 20), temperature=1.0)
    with pytest.raises(ValueError, match=r"one number per row of the logits \(8, 20\), got a weight of shape \(8, 1\)"):
        cakd_loss(*logits, mask_top(logits[1], 5), alpha=torch.ones(8, 1), beta=1.0, temperature=4.0)
    with pytest.raises(ValueError, match="1 to 20 classes, got 21"):
        gdkd_loss(*logits, top=21, binary_weight=1.0, top_weight=1.0, other_weight=8.0, temperature=4.0)
