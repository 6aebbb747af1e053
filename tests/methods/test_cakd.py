import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.losses.cakd import cakd_loss
from kdlight.losses.dkd import dkd_loss
from kdlight.losses.gdkd import gdkd_loss
from kdlight.losses.kd import kd_loss
from kdlight.losses.parts.decoupling import cakd_divergences
from kdlight.losses.parts.masks import mask_target, mask_top
from kdlight.methods.cakd import CAKD
from kdlight.models.activations import Activations
from kdlight.models.ensemble import Ensemble
from kdlight.models.frozen import Frozen
from kdlight.models.zoo.resnet import resnet8, resnet14
from tests.methods.conftest import build

LOGITS_ALONE = {"stages": [], "warmup_epochs": 0}


@pytest.fixture
def case(inputs):
    return inputs.student_logits, inputs.teacher_logits.detach(), inputs.target


def distilled(model, student, teacher, target):
    """Sum of the terms beside the cross-entropy, and its gradient."""
    batch = Batch(torch.empty(8, 0), target, torch.arange(len(target)))
    terms = model.loss_terms(Activations(student, student, ()), Activations(teacher, teacher, ()), batch)
    del terms["cross_entropy"]
    total = sum(terms.values())
    return total, torch.autograd.grad(total, student)[0]


def equal(found, loss, student):
    value, gradient = found
    assert value.item() == pytest.approx(loss.item(), rel=1e-12)
    torch.testing.assert_close(gradient, torch.autograd.grad(loss, student)[0], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("strong", ["target", "top", "target_and_top"])
def test_with_the_teachers_masses_it_is_kd_in_value_and_gradient(strong, case):
    model = build(CAKD, strong=strong, alpha=1.0, beta=1.0, multiply_masses=True, **LOGITS_ALONE)
    equal(distilled(model, *case), kd_loss(*case[:2], temperature=4.0), case[0])


@pytest.mark.parametrize("beta", [2.0, 8.0])
def test_with_the_target_as_strong_set_it_is_dkd(beta, case):
    model = build(CAKD, alpha=5.0, beta=beta, **LOGITS_ALONE)
    for target in (case[2], torch.where(torch.arange(8) < 3, -1, case[2])):
        expected = dkd_loss(*case[:2], target, alpha=1.0, beta=beta, temperature=4.0)
        equal(distilled(model, *case[:2], target), expected, case[0])


def test_with_the_top_classes_it_is_gdkd(case):
    model = build(CAKD, strong="top", top=5, bcd_weight=0.5, alpha=2.0, beta=3.0, temperature=2.0, **LOGITS_ALONE)
    weights = {"binary_weight": 0.5, "top_weight": 2.0, "other_weight": 3.0}
    unlabelled = torch.full((8,), -1)
    equal(distilled(model, *case[:2], unlabelled), gdkd_loss(*case[:2], top=5, temperature=2.0, **weights), case[0])


def test_target_and_top_leaves_out_only_the_unknown_target(case):
    student, teacher, target = case
    target = target.clone()
    target[:4] = -1
    strong = mask_top(teacher, 2)
    strong[4:] |= mask_target(teacher, target)[4:]
    model = build(CAKD, strong="target_and_top", top=2, **LOGITS_ALONE)
    expected = cakd_loss(student, teacher, strong, alpha=1.0, beta=8.0, temperature=4.0)
    equal(distilled(model, student, teacher, target), expected, student)


def test_weights_follow_epochs_and_samples(case, monkeypatch):
    student, teacher = case[:2]
    monkeypatch.setattr(CAKD, "current_epoch", 5)
    strong = mask_top(teacher, 5)
    schedule = {"alpha": {0: 1.0, 10: 3.0}, "beta": {5: 4.0, 9: 0.0}, "strong": "top"}
    factors = {
        "confidence": teacher.float().softmax(1).amax(1),
        "progress": torch.minimum(student.detach().float().softmax(1), teacher.float().softmax(1)).sum(1),
    }
    for name, factor in factors.items():
        model = build(CAKD, sample_weights=name, **schedule, **LOGITS_ALONE)
        expected = cakd_loss(student, teacher, strong, alpha=2.0 * factor, beta=4.0 * factor, temperature=4.0)
        value, gradient = distilled(model, *case)
        assert value.item() == pytest.approx(expected.item(), rel=1e-6)
        torch.testing.assert_close(gradient, torch.autograd.grad(expected, student)[0], rtol=1e-5, atol=1e-8)


def test_the_weight_warms_up_or_the_rate_does(case, monkeypatch):
    model, cold = build(CAKD, stages=[], warmup_epochs=4), build(CAKD, stages=[], warmup_epochs=4)
    full = distilled(build(CAKD, **LOGITS_ALONE), *case)[0]
    assert distilled(model, *case)[0].item() == pytest.approx(full.item() / 4)
    monkeypatch.setattr(CAKD, "current_epoch", 3)
    assert distilled(cold, *case)[0].item() == pytest.approx(full.item())
    monkeypatch.setattr(CAKD, "current_epoch", 0)
    model = build(CAKD, stages=[], warmup_epochs=4, warms_up="learning_rate")
    assert distilled(model, *case)[0].item() == pytest.approx(full.item())
    configured = model.configure_optimizers()
    rates = []
    for _ in range(5):
        rates.append(configured["optimizer"].param_groups[0]["lr"])
        configured["optimizer"].step()
        configured["lr_scheduler"].step()
    assert rates == pytest.approx([0.0125, 0.025, 0.0375, 0.05, 0.05])


def test_stages_split_at_the_channels_that_move_the_teachers_prediction():
    torch.manual_seed(0)
    student, teacher = resnet8(10, (1, 8, 8)).double(), resnet14(10, (1, 8, 8)).double()
    options = {"stages": [0, -1], "logit_weight": 0.0, "feature_weight": 2.0, "strong_channels": 0.25}
    model = CAKD(student, Frozen(teacher), warmup_epochs=0, beta=3.0, **options).double()
    images = torch.randn(6, 1, 8, 8, dtype=torch.float64)
    terms = model.batch_terms(Batch(images, torch.zeros(6).long(), torch.arange(6)))
    assert list(terms) == ["cross_entropy"] + [
        f"cakd_stage{stage}_{part}" for stage in (1, 3) for part in ("binary", "strong", "weak")
    ]
    assert all(parameter.grad is None for parameter in teacher.parameters())

    teacher.requires_grad_(True)
    seen, own = teacher.activations(images), student.activations(images)
    prediction = seen.logits.argmax(1)
    for place, (stage, width) in enumerate([(0, 16), (2, 64)]):
        a_map = seen.stages[stage]
        strong = torch.zeros(6, width, dtype=torch.bool)
        for sample in range(6):
            score = seen.logits[sample, prediction[sample]]
            gradient = torch.autograd.grad(score, a_map, retain_graph=True)[0][sample]
            relevance = (gradient * a_map[sample]).sum((1, 2)).abs()
            strong[sample, relevance.argsort(descending=True)[: width // 4]] = True
        adapted = torch.nn.functional.conv2d(
            own.stages[stage], model.adapters[place].weight[:, :, None, None], model.adapters[place].bias
        )
        parts = cakd_divergences(adapted.mean((2, 3)), a_map.mean((2, 3)), strong, temperature=4.0)
        expected = [32 * parts.binary.mean(), 32 * parts.strong.mean(), 96 * parts.weak.mean()]
        found = [terms[f"cakd_stage{stage + 1}_{part}"].item() for part in ("binary", "strong", "weak")]
        assert found == pytest.approx([value.item() for value in expected], rel=1e-9)


def test_features_alone_may_have_other_classes():
    shape = (1, 8, 8)
    model = CAKD(resnet8(10, shape), Frozen(resnet8(4, shape)), logit_weight=0.0)
    terms = model.batch_terms(Batch(torch.randn(4, *shape), torch.zeros(4).long(), torch.arange(4)))
    assert len(terms) == 10
    with pytest.raises(ValueError, match="logit_weight"):
        CAKD(resnet8(10, shape), Frozen(resnet8(4, shape)))


def test_errors():
    shape = (1, 8, 8)
    ensemble = Ensemble([resnet8(10, shape), resnet8(10, shape)])
    with pytest.raises(ValueError, match=r"stages: \[\] compares only logits.*ensemble of 2"):
        CAKD(resnet8(10, shape), Frozen(ensemble))
    assert CAKD(resnet8(10, shape), Frozen(ensemble), stages=[]).pairs == []
    with pytest.raises(ValueError, match="'target', 'top' or 'target_and_top', got 'both'"):
        build(CAKD, strong="both")
    with pytest.raises(ValueError, match="expected strong_channels to be less than 1, got 1"):
        build(CAKD, strong_channels=1)
