"""The methods that compare logits, against their losses; standardised logits and ensembles in each of them."""

import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.losses.dist import dist_loss
from kdlight.losses.dkd import dkd_loss
from kdlight.losses.gdkd import gdkd_loss
from kdlight.losses.kd import kd_loss
from kdlight.losses.logit_mse import logit_mse_loss
from kdlight.losses.nkd import nkd_loss
from kdlight.losses.standardization import standardize
from kdlight.methods.at import AT
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.dist import DIST
from kdlight.methods.dkd import DKD
from kdlight.methods.gdkd import GDKD
from kdlight.methods.kd import KD
from kdlight.methods.logit_mse import LogitMSE
from kdlight.methods.nkd import NKD
from kdlight.models.activations import Activations
from kdlight.models.ensemble import Ensemble
from kdlight.models.frozen import Frozen
from kdlight.models.zoo.resnet import resnet8
from tests.methods.conftest import build

# Each with its recipe for CIFAR-100: the reference's value at full weight, and the weight.
REFERENCE = {
    KD: (lambda s, t, y: kd_loss(s, t, temperature=4), 0.9),
    LogitMSE: (lambda s, t, y: logit_mse_loss(s, t), 0.9),
    DKD: (lambda s, t, y: dkd_loss(s, t, y, alpha=1, beta=8, temperature=4), 1.0),
    GDKD: (
        lambda s, t, y: gdkd_loss(s, t, top=5, binary_weight=1, top_weight=1, other_weight=8, temperature=4),
        1.0,
    ),
    NKD: (lambda s, t, y: nkd_loss(s, t, y, gamma=3.5, temperature=3), 1.0),
    DIST: (lambda s, t, y: dist_loss(s, t, beta=1, gamma=1, temperature=4), 2.0),
}
TEMPERATURE = {KD: 4.0, DKD: 4.0, GDKD: 4.0, NKD: 3.0, DIST: 4.0}


@pytest.fixture
def case(inputs):
    """Student, teacher and batch with the oracle's logits."""
    batch = Batch(torch.empty(8, 0), inputs.target, torch.arange(8))
    return seen(inputs.student_logits), seen(inputs.teacher_logits.detach()), batch


def seen(logits, members=()):
    return Activations(logits, embedding=logits, stages=(), member_logits=members)


@pytest.mark.parametrize("method", REFERENCE, ids=lambda method: method.__name__)
@pytest.mark.parametrize("standardize_logits", [False, True])
def test_terms_are_the_weighted_reference(method, standardize_logits, case, monkeypatch):
    student, teacher, batch = case
    monkeypatch.setattr(method, "current_epoch", 100)  # after every warm-up
    terms = build(method, standardize_logits=standardize_logits).loss_terms(*case)
    loss, weight = REFERENCE[method]
    compared = [standardize(x.logits) if standardize_logits else x.logits for x in (student, teacher)]
    task, own = terms.values()
    ce_weight = 0.1 if method in (KD, LogitMSE) else 1.0
    assert task.item() == pytest.approx(ce_weight * cross_entropy(student.logits, batch.target).item(), rel=1e-6)
    assert own.item() == pytest.approx(weight * loss(*compared, batch.target).item(), rel=1e-9)


# Arguments that are equal by default, or 1, differ here: none can stand for another one.
UNEQUAL = {
    KD: (kd_loss, {"temperature": 2.0}),
    DKD: (dkd_loss, {"alpha": 3.0, "beta": 5.0, "temperature": 2.0}),
    GDKD: (gdkd_loss, {"top": 3, "binary_weight": 2.0, "top_weight": 3.0, "other_weight": 5.0, "temperature": 2.0}),
    NKD: (nkd_loss, {"gamma": 5.0, "temperature": 2.0}),
    DIST: (dist_loss, {"beta": 3.0, "gamma": 5.0, "temperature": 2.0}),
}


@pytest.mark.parametrize("method", UNEQUAL, ids=lambda method: method.__name__)
def test_each_argument_goes_to_its_own_place(method, case, monkeypatch):
    student, teacher, batch = case
    monkeypatch.setattr(method, "current_epoch", 100)
    loss, options = UNEQUAL[method]
    target = [batch.target] if method in (DKD, NKD) else []
    _, own = build(method, **options).loss_terms(*case).values()
    expected = REFERENCE[method][1] * loss(student.logits, teacher.logits, *target, **options)
    assert own.item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("method", [DKD, GDKD])
@pytest.mark.parametrize(("epoch", "factor"), [(0, 0.25), (2, 0.75), (3, 1.0), (50, 1.0)])
def test_warm_up(method, epoch, factor, case, monkeypatch):
    monkeypatch.setattr(method, "current_epoch", epoch)
    terms = build(method, warmup_epochs=4).loss_terms(*case)
    loss, _ = REFERENCE[method]
    expected = loss(case[0].logits, case[1].logits, case[2].target)
    assert terms[method.__name__.lower()].item() == pytest.approx(factor * expected.item(), rel=1e-9)


@pytest.mark.parametrize("method", TEMPERATURE, ids=lambda method: method.__name__)
def test_an_ensemble_teaches_the_mean_of_softened_outputs(method, case, monkeypatch):
    student, teacher, batch = case
    monkeypatch.setattr(method, "current_epoch", 100)
    members = (teacher.logits, teacher.logits.roll(3, 1), 0.2 * teacher.logits)
    terms = build(method).loss_terms(student, seen(torch.zeros(8, 20), members), batch)
    softened = sum((x / TEMPERATURE[method]).softmax(1) for x in members) / 3
    loss, weight = REFERENCE[method]
    expected = weight * loss(student.logits, TEMPERATURE[method] * softened.log(), batch.target)
    assert list(terms.values())[1].item() == pytest.approx(expected.item(), rel=1e-9)


def test_logit_matching_takes_the_mean_logits_of_an_ensemble(case):
    student, teacher, batch = case
    members = (teacher.logits, -0.5 * teacher.logits)
    terms = build(LogitMSE).loss_terms(student, seen(torch.zeros(8, 20), members), batch)
    expected = 0.9 * logit_mse_loss(student.logits, 0.25 * teacher.logits)
    assert terms["logit_mse"].item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("method", REFERENCE, ids=lambda method: method.__name__)
def test_without_labels_the_soft_targets_are_left(method, case):
    student, teacher, batch = case
    terms = build(method).loss_terms(student, teacher, batch._replace(target=torch.full((8,), -1)))
    task, own = (term.item() for term in terms.values())
    assert task == 0.0
    assert (own == 0.0) == (method in (DKD, NKD))  # whose terms need the target


def test_feature_methods_need_one_teacher():
    shape = (1, 8, 8)
    ensemble = Ensemble([resnet8(10, shape), resnet8(10, shape)])
    with pytest.raises(ValueError, match="AT compares features: expected one teacher, got an ensemble of 2"):
        AT(resnet8(10, shape), Frozen(ensemble))


def test_noise_disturbs_the_teacher_of_some_samples_relative_to_its_logits(case):
    _, teacher, batch = case
    disturbed, number = [], 4000
    many = seen(teacher.logits[:1].expand(number, -1)), batch._replace(target=torch.zeros(number).long())
    model = build(KD, noise=0.1, noisy_fraction=0.25)
    model.prepare_logits = lambda student, teacher, temperature: disturbed.append(teacher) or (teacher.logits,) * 2
    model.loss_terms(many[0], many[0], many[1])
    relative = (disturbed[0].logits / many[0].logits - 1).detach()
    touched = relative.abs().amax(1) > 0
    assert touched.double().mean().item() == pytest.approx(0.25, abs=0.03)
    assert relative[touched].std().item() == pytest.approx(0.1, rel=0.03)
    assert relative[touched].mean().item() == pytest.approx(0.0, abs=0.005)
    assert relative[touched].T.corrcoef().fill_diagonal_(0).abs().max() < 0.2  # each logit has its own


def test_noise_disturbs_each_member_of_an_ensemble_on_its_own(case, monkeypatch):
    student, teacher, batch = case
    silent, disturbed, model = [], [], build(KD, noise=0.1)
    for taught, noise in ((silent, 0.0), (disturbed, 0.1)):
        monkeypatch.setattr(model, "noise", noise)
        monkeypatch.setattr(
            model,
            "prepare_logits",
            lambda ours, theirs, _, taught=taught: taught.append(theirs) or (ours.logits, theirs.logits),
        )
        model.loss_terms(student, seen(teacher.logits, (teacher.logits, teacher.logits)), batch)
    assert all(torch.equal(logits, teacher.logits) for logits in silent[0].member_logits)
    first, second = ((logits / teacher.logits - 1) for logits in disturbed[0].member_logits)
    assert first.std().item() == pytest.approx(0.1, rel=0.3)
    assert second.std().item() == pytest.approx(0.1, rel=0.3)
    assert not torch.equal(first, second)


def test_a_silent_teacher_draws_nothing(case):
    before = torch.get_rng_state()
    build_state = build(KD)
    torch.set_rng_state(before)
    build_state.loss_terms(*case)
    assert torch.equal(torch.get_rng_state(), before)
