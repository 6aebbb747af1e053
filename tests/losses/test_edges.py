"""Values and gradients at the edges: high temperatures, masked classes, logits that are all equal."""

import math

import pytest
import torch

from kdlight.losses.cakd import cakd_loss
from kdlight.losses.crd import crd_loss
from kdlight.losses.dist import dist_loss
from kdlight.losses.dkd import dkd_loss
from kdlight.losses.gdkd import gdkd_loss
from kdlight.losses.kd import kd_loss
from kdlight.losses.mlkd import mlkd_class_loss
from kdlight.losses.nkd import nkd_loss
from kdlight.losses.pkt import pkt_loss
from kdlight.losses.standardization import standardize

TARGET = torch.arange(8) % 5
STRONG = torch.arange(20) % 3 == 0
DIVERGENCES = {
    "kd": lambda s, t, tau: kd_loss(s, t, temperature=tau),
    "dkd": lambda s, t, tau: dkd_loss(s, t, TARGET, alpha=1.0, beta=8.0, temperature=tau),
    "cakd": lambda s, t, tau: cakd_loss(s, t, STRONG[: s.shape[1]].expand_as(s), alpha=2.0, beta=3.0, temperature=tau),
    "gdkd": lambda s, t, tau: gdkd_loss(
        s, t, top=5, binary_weight=1.0, top_weight=2.0, other_weight=3.0, temperature=tau
    ),
}
LOSSES = {
    **DIVERGENCES,
    "nkd": lambda s, t, tau: nkd_loss(s, t, TARGET, gamma=1.5, temperature=tau),
    "dist": lambda s, t, tau: dist_loss(s, t, beta=1.0, gamma=1.0, temperature=tau),
    "mlkd": lambda s, t, tau: mlkd_class_loss(s, t, temperature=tau),
    "ls": lambda s, t, tau: kd_loss(standardize(s), standardize(t), temperature=tau),
}


def reference(name, student, teacher, temperature):
    """The divergences from sums over probabilities in 60 digits, as their equations have them."""
    from mpmath import mp, mpf

    mp.dps = 60

    def softmax(row):
        powers = [mp.exp(mpf(value) / mpf(temperature)) for value in row]
        return [power / sum(powers) for power in powers]

    def divergence(ours, theirs):
        return sum(q * mp.log(q / p) for p, q in zip(ours, theirs, strict=True))

    total = mpf(0)
    for row, (of_student, of_teacher) in enumerate(zip(student.tolist(), teacher.tolist(), strict=True)):
        p, q = softmax(of_student), softmax(of_teacher)
        top = sorted(range(20), key=lambda place: -of_teacher[place])[:5]
        sets = {"dkd": [int(TARGET[row])], "gdkd": top, "cakd": [place for place in range(20) if place % 3 == 0]}
        if name == "kd":
            total += divergence(p, q)
            continue
        inside = [place in sets[name] for place in range(20)]
        masses, parts = [], []
        for side in (True, False):
            ours, theirs = ([x for x, own in zip(y, inside, strict=True) if own == side] for y in (p, q))
            masses.append((sum(ours), sum(theirs)))
            parts.append(divergence([x / sum(ours) for x in ours], [x / sum(theirs) for x in theirs]))
        weights = {"dkd": (1, 0, 8), "gdkd": (1, 2, 3), "cakd": (1, 2, 3)}[name]
        binary = divergence(*zip(*masses, strict=True))
        total += sum(weight * part for weight, part in zip(weights, (binary, *parts), strict=True))
    return float(total * mpf(temperature) ** 2 / len(student))


@pytest.mark.parametrize(
    ("temperature", "error"), [(0.1, 2e-6), (1.0, 2e-6), (20.0, 2e-6), (1e3, 2e-6), (1e5, 2e-6), (1e6, 1e-4)]
)
@pytest.mark.parametrize("name", DIVERGENCES)
def test_values_of_float32_logits_keep_their_digits_at_high_temperatures(name, temperature, error):
    logits = torch.randn(2, 8, 20) * torch.tensor([2.0, 3.0]).view(2, 1, 1)
    expected = reference(name, *logits, temperature)
    assert DIVERGENCES[name](*logits, temperature).item() == pytest.approx(expected, rel=error)


@pytest.mark.parametrize("temperature", [1.0, 30.0])
@pytest.mark.parametrize("name", DIVERGENCES)
def test_values_and_gradients_belong_together(name, temperature):
    student, teacher = torch.randn(2, 8, 20, dtype=torch.float64).unbind()
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: DIVERGENCES[name](s, teacher, temperature), student)


@pytest.mark.parametrize("name", LOSSES)
def test_classes_masked_in_both_networks_count_for_nothing(name):
    student, teacher = torch.randn(2, 8, 20).unbind()
    masked = student.clone(), teacher.clone()
    for logits in masked:
        logits[:, 15:] = -math.inf
    masked[0].requires_grad_()
    value = LOSSES[name](*masked, 2.0)
    # Without these classes it is the same loss; a mean over classes (columns) has fewer of them.
    without = LOSSES[name](student[:, :15], teacher[:, :15], 2.0)
    if name == "mlkd":
        without = without * 15 / 20
    assert value.isfinite()
    if name != "dist":
        assert value.item() == pytest.approx(without.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(value, masked[0])
    assert gradient.isfinite().all()
    assert gradient[:, 15:].abs().max() == 0.0
    assert gradient[:, :15].abs().max() > 0.0


@pytest.mark.parametrize("temperature", [math.inf, math.nan, 0.0, -1.0])
@pytest.mark.parametrize("name", LOSSES)
def test_a_temperature_is_finite_and_positive(name, temperature):
    with pytest.raises(ValueError, match="finite, positive temperature, got"):
        LOSSES[name](torch.randn(8, 20), torch.randn(8, 20), temperature)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("level", [0.0, 0.1, 7.0])
@pytest.mark.parametrize("name", LOSSES)
def test_equal_logits_have_a_moderate_gradient(name, level, dtype):
    student = torch.full((8, 20), level, dtype=dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(LOSSES[name](student, torch.randn(8, 20).to(dtype), 4.0), student)
    assert gradient.abs().max() < 10


@pytest.mark.parametrize("classes", [1, 2, 7, 1000])
@pytest.mark.parametrize("level", [0.0, 0.1, -1e4])
def test_standardised_equal_logits_are_zeros_without_a_gradient(level, classes):
    logits = torch.full((3, classes), level, requires_grad=True)
    standardized = standardize(logits)
    assert standardized.abs().max() == 0.0
    (gradient,) = torch.autograd.grad(standardized[:, 0].sum(), logits)
    assert gradient.abs().max() == 0.0


def test_opposite_samples_of_pkt():
    for seed in range(20):
        sample = torch.randn(1, 2048, generator=torch.Generator().manual_seed(seed))
        student = torch.cat([sample, -sample]).requires_grad_()
        value = pkt_loss(student, torch.rand(2, 8))
        assert value.isfinite()
        assert torch.autograd.grad(value, student)[0].isfinite().all()
        assert pkt_loss(torch.rand(2, 8), student).isfinite()


def test_crd_needs_a_negative():
    with pytest.raises(ValueError, match=r"at least one negative for each sample, got shape \(4, 1\)"):
        crd_loss(torch.ones(4, 1), torch.ones(4, 1), samples=50)
