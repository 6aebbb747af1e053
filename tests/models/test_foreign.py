"""Networks of torchvision and timm by name."""

import urllib.error
from pathlib import Path

import pytest
import torch
import torchvision
from torch.hub import get_dir

from kdlight.errors import UserError
from kdlight.models.foreign import Preprocessing, Timm, Torchvision
from kdlight.models.frozen import Frozen
from kdlight.models.weights import load_weights


def test_torchvision_by_name_has_the_weights_of_torchvision(tmp_path: Path) -> None:
    model = torchvision.models.resnet18(num_classes=3)
    torch.save(model.state_dict(), tmp_path / "theirs.pt")
    network = Torchvision("resnet18", 3, (3, 64, 64))
    load_weights(network, tmp_path / "theirs.pt")
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(network.eval()(images), model.eval()(images))
    assert network.stage_names == ("model.layer1", "model.layer2", "model.layer3", "model.layer4")
    assert not network.has_weights


def test_taps_and_options_are_handed_on() -> None:
    network = Torchvision("mobilenet_v3_small", 3, options={"dropout": 0.5}, taps={"stages": ["features.3"]})
    assert network.stage_names == ("model.features.3",)
    assert network.get_submodule("model.classifier.2").p == 0.5
    with pytest.raises(UserError, match="taps: expected stages, embedding, stem or head, got stage"):
        Torchvision("resnet18", taps={"stage": []})


def test_the_momentum_of_batch_norms_is_the_networks_own_unless_it_is_said() -> None:
    momenta = [
        {module.momentum for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)}
        for network in (Torchvision("mobilenet_v3_small"), Torchvision("mobilenet_v3_small", norm_momentum=0.1))
    ]
    assert momenta == [{0.01}, {0.1}]


def test_weights_of_other_classes_get_a_new_head(monkeypatch: pytest.MonkeyPatch) -> None:
    pretrained = torchvision.models.resnet18().state_dict()
    entry = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    monkeypatch.setattr(type(entry), "get_state_dict", lambda self, *args, **kwargs: pretrained)
    own = Torchvision("resnet18", 3, pretrained=True)
    assert own.num_classes == own(torch.zeros(2, 3, 64, 64)).shape[1] == 3
    assert torch.equal(own.state_dict()["model.conv1.weight"], pretrained["conv1.weight"])
    assert not own.has_weights
    assert Torchvision("resnet18", 1000, pretrained="IMAGENET1K_V1").has_weights


def test_weights_that_cannot_be_fetched_say_where_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", "/nowhere-torch-home")
    monkeypatch.setattr("os.makedirs", lambda *args, **kwargs: None)
    with pytest.raises(UserError, match=r"https://download.pytorch.org/models/resnet18-\w+.pth .*no network") as caught:
        Torchvision("resnet18", pretrained=True)
    assert f"put the file into {get_dir()}/checkpoints" in str(caught.value)


def test_wrong_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="torchvision has no classifier named 'resnet19'; nearest: resnet1"):
        Torchvision("resnet19", pretrained=True)
    with pytest.raises(UserError, match="torchvision has no classifier named 'resnet19'; nearest: resnet1"):
        Torchvision("resnet19")
    with pytest.raises(UserError, match="has no weights V7: expected one of IMAGENET1K_V1"):
        Torchvision("resnet18", pretrained="V7")


def test_weights_say_how_images_are_prepared() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert Torchvision.find_preprocessing("resnet18") == Preprocessing(224, 256, mean, std)
    assert Torchvision.find_preprocessing("resnet50") == Preprocessing(224, 232, mean, std)
    assert Torchvision.find_preprocessing("resnet50", "IMAGENET1K_V1") == Preprocessing(224, 256, mean, std)


def test_timm_by_name() -> None:
    pytest.importorskip("timm", reason="timm is an extra: pip install kdlight[timm]")
    network = Timm("resnet10t", 3, (1, 64, 64)).eval()
    teacher = Frozen(network).activations(torch.randn(2, 1, 64, 64))
    assert teacher.logits.shape == (2, 3)
    assert [stage.shape[-1] for stage in teacher.stages] == [16, 8, 4, 2]
    prepared = Timm.find_preprocessing("resnet10t")
    assert prepared == Preprocessing(176, 201, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with pytest.raises(UserError, match=r"timm has no classifier named 'resnet10x'; nearest: .*resnet10t"):
        Timm("resnet10x")
    with pytest.raises(UserError, match=r"timm has no weights resnet10t.mine: expected one of resnet10t.c3_in1k"):
        Timm("resnet10t.mine")


def test_a_transformer_of_timm_takes_the_size_of_the_images() -> None:
    pytest.importorskip("timm", reason="timm is an extra: pip install kdlight[timm]")
    network = Timm("vit_tiny_patch16_224", 3, (3, 64, 64)).eval()
    activations = network.activations(torch.randn(2, 3, 64, 64))
    assert [tuple(stage.shape[1:]) for stage in activations.stages] == [(192, 4, 4)] * 4
