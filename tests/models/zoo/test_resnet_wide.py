"""ResNet-18 for small images; ResNet-50 beside it equals the reference in test_zoo.py."""

import torch

from kdlight.models.zoo.resnet_wide import ResNet18


def test_resnet18_has_two_basic_blocks_a_stage() -> None:
    network = ResNet18(100, (3, 32, 32)).eval()
    norms, head = 4 * (2 * 2) + 3 + 1, 512 * 100 + 100
    convolutions = 9 * (3 * 64 + 4 * 64 * 64)
    for wide in (128, 256, 512):
        convolutions += 9 * (wide // 2 * wide + 3 * wide * wide) + wide // 2 * wide
    channels = 64 + sum(width * (4 + (width > 64)) for width in (64, 128, 256, 512))
    assert len([module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]) == norms
    assert sum(parameter.numel() for parameter in network.parameters()) == convolutions + 2 * channels + head
    stages = network.activations(torch.randn(2, 3, 32, 32)).stages
    assert [tuple(stage.shape[1:]) for stage in stages] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
