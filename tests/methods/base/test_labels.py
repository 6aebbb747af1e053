"""The cross-entropy of a batch in which some samples have no label."""

import pytest
import torch
import torch.nn.functional as F

from kdlight.methods.base.labels import cross_entropy


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
