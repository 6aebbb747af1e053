"""MobileNetV1 has the size of the reference's, and its stages are where the field's feature methods take them."""

import torch

from kdlight.models.zoo.mobilenet_v1 import MobileNetV1


def test_parameters_and_buffers_are_those_of_the_reference() -> None:
    network = MobileNetV1(1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_231_976
    assert sum(buffer.numel() for buffer in network.buffers()) == 21_915


def test_stages_halve_and_end_with_the_relu_of_their_preactivations() -> None:
    network = MobileNetV1(7, (3, 64, 64)).eval()
    found = network.activations(torch.randn(2, 3, 64, 64))
    assert found.preactivations is not None
    assert [tuple(stage.shape[1:]) for stage in found.stages] == [
        (128, 16, 16),
        (256, 8, 8),
        (512, 4, 4),
        (1024, 2, 2),
    ]
    for stage, before in zip(found.stages, found.preactivations, strict=True):
        assert torch.equal(stage, before.relu())
    assert [norm.num_features for norm in network.get_norms_before_relu()] == [128, 256, 512, 1024]
