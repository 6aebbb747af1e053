import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.data.views.strong import OPERATIONS, StrongDraws
from kdlight.data.views.view_kinds import select_choices
from kdlight.losses.kd import kd_loss
from kdlight.losses.standardization import standardize
from kdlight.methods.mlkd import MLKD
from kdlight.models.activations import Activations
from tests.methods.conftest import build, digits, trainer

TEMPERATURES = (4, 3, 5, 2, 6)


def seen(logits):
    return Activations(logits, embedding=logits, stages=())


def terms_of(model, inputs, strong, strong_teacher):
    student, teacher = (
        seen(torch.cat(pair))
        for pair in ((inputs.student_logits, strong), (inputs.teacher_logits.detach(), strong_teacher))
    )
    return model.loss_terms(student, teacher, Batch(torch.empty(16, 0), inputs.target, torch.arange(8)))


def test_oracle_without_the_slip_of_the_authors_code(oracle, inputs):
    case = oracle.cases["mlkd_total_two_views"]
    weak, weak_teacher = inputs.student_logits, inputs.teacher_logits
    strong, strong_teacher = (0.5 * weak + 0.25 * weak_teacher).detach(), (0.8 * weak_teacher).detach()
    terms = terms_of(build(MLKD), inputs, strong, strong_teacher)
    parts = case["components"]
    for name, component in (("cross_entropy", "loss_ce"), ("mlkd_class", "loss_cc"), ("mlkd_batch", "loss_bc")):
        assert terms[name].item() == pytest.approx(parts[component], rel=1e-6)
    # The code takes the strong view's divergence at T 2 and 6 from the weak view.
    slip = sum(
        kd_loss(strong, strong_teacher, temperature=t) - kd_loss(weak, weak_teacher, temperature=t) for t in (2, 6)
    )
    assert terms["mlkd_instance"].item() == pytest.approx(parts["loss_kd"] + 0.9 * slip.item(), rel=1e-9)


def test_the_same_view_twice_is_the_oracle(oracle, inputs):
    case = oracle.cases["mlkd_total_same_view_twice"]
    strong = inputs.student_logits.detach().clone().requires_grad_()
    terms = terms_of(build(MLKD), inputs, strong, inputs.teacher_logits.detach())
    assert sum(terms.values()).item() == pytest.approx(case["value"], rel=1e-6)


def test_both_views_teach_as_in_the_oracle(oracle, inputs):
    terms = terms_of(build(MLKD), inputs, inputs.student_logits, inputs.teacher_logits.detach())
    gradient = torch.autograd.grad(sum(terms.values()), inputs.student_logits)[0]
    weak, strong = oracle.cases["mlkd_total_same_view_twice"]["grad_first_3"]
    expected = [first + second for first, second in zip(weak, strong, strict=True)]
    assert gradient.flatten()[:3].tolist() == pytest.approx(expected, rel=1e-6)


def test_standardised_logits_concern_the_instances_alone(inputs):
    student, teacher = inputs.student_logits, inputs.teacher_logits.detach()
    plain, standardised = (
        terms_of(build(MLKD, standardize_logits=switch), inputs, student, teacher) for switch in (False, True)
    )
    expected = 0.9 * 1.5 * sum(kd_loss(standardize(student), standardize(teacher), temperature=t) for t in TEMPERATURES)
    assert standardised.pop("mlkd_instance").item() == pytest.approx(expected.item(), rel=1e-9)
    assert all(torch.equal(plain[name], value) for name, value in standardised.items())


def test_only_the_second_view_is_augmented_strongly(tmp_path):
    batches = []

    class RecordingMLKD(MLKD):
        def batch_terms(self, batch):
            batches.append(batch)
            return super().batch_terms(batch)

    data = digits(augment=True)
    model = RecordingMLKD(build(MLKD).student, build(MLKD).teacher)
    trainer(tmp_path, 1).fit(model, datamodule=data)
    raw = data.get_split("train")
    draws = StrongDraws(**select_choices(data.views.draw(0, views=2, strong=True), "strong"))
    for batch in batches:
        plain = Batch(raw.images[batch.index], raw.target[batch.index], batch.index)
        weak, second = data.normalize_batch(data.views.augment(plain, epoch=0, views=2)).images.chunk(2)
        assert torch.equal(batch.images[: len(weak)], weak)
        strong = batch.images[len(weak) :]
        moved = (strong != second).flatten(1).any(1)
        idle = (draws.operations[batch.index] == OPERATIONS.index("identity")).all(1)
        assert moved.double().mean() > 0.9
        square = (draws.cutout[batch.index, 2] * 4).floor()
        assert ((strong[idle] != second[idle]).flatten(1).sum(1) <= (square[idle] + 2) ** 2).all()
    assert len(batches) == 4
    assert torch.equal(torch.cat([batch.index for batch in batches]).sort().values, torch.arange(200))
