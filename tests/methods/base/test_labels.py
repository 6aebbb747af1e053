"""The cross-entropy of a batch in which some samples have no label."""

import pytest
import torch
import torch.nn.functional as F

from kdlight.data.base.batch import Batch
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.supervised import Supervised
from tests.methods.conftest import build


def test_the_mean_is_over_the_labelled_samples():
    logits, target = torch.randn(6, 4, requires_grad=True), torch.tensor([2, -1, 0, -1, -1, 3])
    labelled = target >= 0
    value, expected = cross_entropy(logits, target), F.cross_entropy(logits[labelled], target[labelled])
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    gradients = (torch.autograd.grad(loss, logits)[0] for loss in (value, expected))
    torch.testing.assert_close(*gradients)


def test_without_a_label_it_is_zero_and_moves_nothing():
    logits = torch.randn(3, 4, requires_grad=True)
    value = cross_entropy(logits, torch.full((3,), -1))
    assert value.item() == 0.0
    assert torch.autograd.grad(value, logits)[0].abs().max() == 0.0


@pytest.mark.parametrize("step", ["validation_step", "test_step"])
def test_an_evaluation_leaves_unlabelled_images_out(step, monkeypatch):
    model = build(Supervised).eval()
    monkeypatch.setattr(model, "log", lambda *_, **__: None)
    images, target = torch.rand(4, 1, 8, 8), torch.tensor([1, -1, 3, -1])
    getattr(model, step)(Batch(images, target, torch.arange(4)), 0)
    loss = model.val_loss if step == "validation_step" else model.test_loss
    expected = F.cross_entropy(model(images)[target >= 0], target[target >= 0])
    assert loss.compute().item() == pytest.approx(expected.item(), rel=1e-5)
