"""ResNets: the parameter-free shortcut, and the networks of the RID authors."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from kdlight.models.zoo.kdrid import kdrid_wrn_16_1, kdrid_wrn_40_2
from kdlight.models.zoo.resnet import BasicBlock, ResNet, resnet20, resnet56


def test_padding_takes_every_second_pixel_and_adds_zero_channels() -> None:
    block = BasicBlock(2, 4, stride=2, shortcut="padding").eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    out = block(x)
    assert torch.equal(out[:, 1:3], x[:, :, ::2, ::2])
    assert out[:, [0, 3]].abs().sum() == 0


# The counts of https://github.com/akamaster/pytorch_resnet_cifar10, whose ResNets have this shortcut: 0.27M and 0.85M.
@pytest.mark.parametrize(("network", "parameters"), [(resnet20, 269722), (resnet56, 853018)])
def test_padding_has_no_parameters(network: Callable[..., ResNet], parameters: int) -> None:
    model = network(10, shortcut="padding")
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert not [key for key in model.state_dict() if "downsample" in key]


@pytest.mark.parametrize(
    ("network", "blocks", "widths"), [(kdrid_wrn_40_2, 6, [32, 64, 128]), (kdrid_wrn_16_1, 2, [16, 32, 64])]
)
def test_kdrid_networks(network: Callable[..., ResNet], blocks: int, widths: list[int]) -> None:
    model = network(10)
    activations = model.activations(torch.randn(2, 3, 32, 32))
    assert [stage.shape[1] for stage in activations.stages] == widths
    assert [len(stage) for stage in (model.layer1, model.layer2, model.layer3)] == [blocks] * 3
    assert all(stage.min() == 0 for stage in activations.stages)

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            bound = math.sqrt(6 / (module.out_channels * module.kernel_size[0] ** 2))
            assert 0.9 * bound < module.weight.abs().max() <= bound
    assert model.fc.bias.abs().max() == 0
