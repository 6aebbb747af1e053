"""Teacher and student of different resolutions."""

import pytest
import torch

from kdlight.cli.parser import _fill_network
from kdlight.models.resized import Resized
from kdlight.models.weights import load_weights
from kdlight.models.zoo.resnet import resnet8


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64)


def test_the_network_sees_smaller_images(images: torch.Tensor) -> None:
    network = resnet8(5).eval()
    resized = Resized(network, 32, (3, 64, 64)).eval()
    seen = torch.nn.functional.interpolate(images, size=(32, 32), mode="bilinear", antialias=True)
    expected = network.activations(seen)
    found = resized.activations(images)
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(resized(images), expected.logits)
    assert [stage.shape for stage in found.stages] == [stage.shape for stage in expected.stages]
    assert torch.equal(resized(seen), expected.logits)
    assert resized.head is network.head
    assert resized.get_submodule(resized.stage_names[0]) is network.get_submodule(network.stage_names[0])
    assert resized.get_norms_before_relu() == network.get_norms_before_relu()
    assert (resized.num_classes, resized.image_shape) == (5, (3, 64, 64))


def test_the_weights_of_the_bare_network_fit(images: torch.Tensor, tmp_path) -> None:  # type: ignore[no-untyped-def]
    network = resnet8(5).eval()
    torch.save(network.state_dict(), tmp_path / "bare.pt")
    resized = Resized(resnet8(5), 64).eval()
    load_weights(resized, tmp_path / "bare.pt")
    assert torch.equal(resized(images), network(images))


def test_the_network_inside_is_told_the_size_that_it_sees() -> None:
    from jsonargparse import Namespace

    inner = Namespace(class_path="kdlight.models.Torchvision", init_args=Namespace(name="vit_b_16"))
    outer = Namespace(class_path="kdlight.models.Resized", init_args=Namespace(model=inner, size=64))
    _fill_network(outer, {"num_classes": 7, "image_shape": (3, 224, 224)})
    assert outer.init_args.image_shape == (3, 224, 224)
    assert (inner.init_args.image_shape, inner.init_args.num_classes) == ((3, 64, 64), 7)
