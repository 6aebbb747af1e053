"""The RID authors' CIFAR-100 networks against numbers of their code: kd-rid@3f8151a, wrncifar100A2810Mod.py."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from kdlight.models.classifier import Classifier
from kdlight.models.zoo.kdrid_wide import WideDropoutResNet, kdrid_wrn_16_8, kdrid_wrn_28_10
from tests.models.test_zoo import assert_close, fill


def test_the_network_equals_the_authors() -> None:
    """The reference is ``WideResNet(16, 1, 10, 5)``, with weights and images by the recipe of ``zoo.json``."""
    model = WideDropoutResNet(16, 1, 10, (3, 32, 32)).double().eval()
    fill(model.state_dict())
    images = torch.from_numpy(np.random.RandomState(123).standard_normal((2, 3, 32, 32)))
    with torch.no_grad():
        activations = model.activations(images)
    assert_close(list(activations.logits[0, :4]), [0.461254634065, -0.575405585007, 0.307461638277, -0.944686526427])
    assert_close([stage.std() for stage in activations.stages], [1.12524948576, 1.483291447485, 1.685607016924])


@pytest.mark.parametrize(
    ("build", "parameters", "gain"),
    [
        (kdrid_wrn_28_10, 36546980, lambda layer: 6 * 2 / (layer.in_channels + layer.out_channels)),
        (kdrid_wrn_16_8, 11012036, lambda layer: 6 / layer.out_channels),
    ],
)
def test_sizes_and_initial_weights(build: Callable[..., Classifier], parameters: int, gain: Callable) -> None:
    model = build(100)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            bound = math.sqrt(gain(layer) / layer.kernel_size[0] ** 2)
            assert 0.9 * bound < layer.weight.abs().max() <= bound


def test_dropout_acts_in_training_only() -> None:
    model = WideDropoutResNet(10, 1, 10, (3, 8, 8))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(model.eval()(images), model(images))
    assert not torch.equal(model.train()(images), model(images))
