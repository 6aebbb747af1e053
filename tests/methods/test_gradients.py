"""What each term of a method's loss teaches, in every phase: the student, stage by stage, and the modules beside it."""

import re

import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.methods.base.learner import Learner
from kdlight.methods.cakd import CAKD
from kdlight.models.activations import Activations
from tests.methods.conftest import build, digits, parameters, trainer

EPOCHS, SAMPLES = 3, 8


@pytest.fixture
def data():
    made = digits()
    made.setup("fit")
    return made


@pytest.fixture
def prepare(data, tmp_path):
    """A function that builds a method and sets it up for a fit; CRD then has its memory."""

    def prepared(method: type[Learner], **options) -> Learner:
        model = build(method, **options)
        model.trainer = trainer(tmp_path, EPOCHS)
        model.trainer.datamodule = data
        model.setup("fit")
        return model

    return prepared


def draw_batch(method: type[Learner], target: torch.Tensor) -> Batch:
    torch.manual_seed(0)
    views = getattr(method, "views", 1)
    return Batch(torch.rand(views * SAMPLES, 1, 8, 8), target, torch.arange(SAMPLES))


def find_gradients(term: torch.Tensor, tensors: list[torch.Tensor]) -> list[bool]:
    """Whether a term has a gradient that is not zero in each of the tensors."""
    if not term.requires_grad:
        return [False] * len(tensors)
    gradients = torch.autograd.grad(term, tensors, retain_graph=True, allow_unused=True)
    return [gradient is not None and bool(gradient.any()) for gradient in gradients]


def test_each_term_teaches_the_student_and_each_module_learns_in_its_phase(method, prepare, monkeypatch):
    # Terms whose weight is 0 by default are asked for.
    options = {name: 1.0 for name in ("ce_weight", "kd_weight") if name in parameters(method)}
    if method is CAKD:  # with the target alone as strong set, the divergence within this set is 0 by definition
        options["strong"] = "top"
    model = prepare(method, **options)
    batch, computed = draw_batch(method, torch.arange(SAMPLES)), []
    run = model.student.activations

    def cut(images: torch.Tensor) -> Activations:
        """The student's activations without the graph between them, so that each has the gradient of its own uses."""
        whole = run(images)
        computed.append((whole, whole.map(lambda tensor: tensor.detach().requires_grad_())))
        return computed[-1][1]

    taught = set()
    for epoch in range(EPOCHS):
        monkeypatch.setattr(method, "current_epoch", epoch)
        learning = model.trainable_children(epoch)
        children = {name: child for name, child in model.named_children() if list(child.parameters())}
        if learning is not None:
            children = {name: child for name, child in children.items() if child in learning}

        monkeypatch.setattr(model.student, "activations", run)
        loss = sum(model.batch_terms(batch).values())
        for name, child in children.items():
            assert any(find_gradients(loss, list(child.parameters()))), f"{name} learns nothing in epoch {epoch}"
        if "student" not in children:
            continue

        monkeypatch.setattr(model.student, "activations", cut)
        for name, term in model.batch_terms(batch).items():
            if name.startswith("variance_"):  # RID's penalty of its variances
                continue
            seen, stage = computed[-1][1], re.search(r"stage(\d+)", name)
            if stage is None:
                read = [seen.logits, seen.embedding, *seen.stages]
            else:
                place = int(stage[1]) - 1
                read = [seen.stages[place], *([] if seen.preactivations is None else [seen.preactivations[place]])]
            assert any(find_gradients(term, read)), f"{name} does not reach the student in epoch {epoch}"
            taught.add(name)
    assert taught


def test_unlabelled_samples_neither_count_in_a_mean_over_labels_nor_are_lost_elsewhere(method, prepare, monkeypatch):
    everyone = torch.arange(SAMPLES)
    first_half = torch.where(everyone < SAMPLES // 2, everyone, -1)
    second_half = torch.where(everyone < SAMPLES // 2, -1, everyone)
    for epoch in range(EPOCHS):
        monkeypatch.setattr(method, "current_epoch", epoch)
        terms, others, first, second = (
            {name: term.item() for name, term in prepare(method).batch_terms(draw_batch(method, target)).items()}
            for target in (everyone, everyone.flip(0), first_half, second_half)
        )
        for name, term in terms.items():
            if term != others[name]:  # it depends on the labels
                assert first[name] != pytest.approx(term, rel=1e-4), name
                assert (first[name] + second[name]) / 2 == pytest.approx(term, rel=1e-4), name
            else:
                assert first[name] == second[name] == term, name
