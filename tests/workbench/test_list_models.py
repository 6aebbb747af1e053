"""`kdlight models`."""

import pytest

from kdlight.__main__ import main
from kdlight.models.zoo.resnet import resnet20
from kdlight.workbench import list_models


def test_every_network_is_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    found = {network.name: network for network in list_models.list_networks()}
    assert {"resnet8x4", "wrn_40_2", "vgg13", "MobileNetV2", "ShuffleV1", "ShuffleV2", "ResNet50"} <= found.keys()
    assert not {"Tapped", "Timm", "Torchvision", "Ensemble", "load_weights"} & found.keys()
    small = found["resnet20"]
    assert small.parameters == sum(parameter.numel() for parameter in resnet20(100).parameters())
    assert 2 * 40e6 < small.operations < 2 * 42e6  # He et al. 2016 count 41 million multiplications
    assert small.stages == ((16, 32, 32), (32, 16, 16), (64, 8, 8))
    assert found["resnet56"].published == ("published:cifar100/resnet56", "published:cifar10/resnet56")
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in found)
    assert "published:cifar100/wrn_40_2" in said
