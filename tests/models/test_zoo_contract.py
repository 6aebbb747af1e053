"""What every network of the zoo must do, whatever it looks like inside."""

import inspect
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kdlight.models
from kdlight.models.classifier import Classifier, ImageShape

REFERENCE = list(json.loads(Path(__file__).with_name("zoo.json").read_text())["models"])


def is_network(made: object) -> bool:
    """Whether a public name of the package builds one network of the zoo."""
    parameters = list(inspect.signature(made).parameters) if callable(made) else []
    return parameters[:2] == ["num_classes", "image_shape"] and made is not Classifier


ZOO = [name for name in dir(kdlight.models) if is_network(getattr(kdlight.models, name))]


def build(name: str, image_shape: ImageShape) -> Classifier:
    torch.manual_seed(0)
    model: Classifier = getattr(kdlight.models, name)(7, image_shape)
    return model


def counters(model: nn.Module) -> list[int]:
    return [int(tensor) for name, tensor in model.named_buffers() if name.endswith("num_batches_tracked")]


def test_the_zoo_has_the_networks_of_the_reference() -> None:
    assert set(REFERENCE) < set(ZOO)


@pytest.mark.parametrize("name", ZOO)
def test_one_training_step_at_8_pixels(name: str) -> None:
    model = build(name, (1, 8, 8)).train()
    assert (model.num_classes, model.image_shape) == (7, (1, 8, 8))
    images = torch.randn(4, 1, 8, 8)

    activations = model.activations(images)
    assert set(counters(model)) <= {1}  # a network without batch norm has no counters
    assert activations.logits.shape == (4, 7)
    assert torch.equal(activations.logits, model.head(activations.embedding))
    assert len(activations.stages) == len(model.stage_names)
    assert activations.stem is not None

    torch.autograd.backward(F.cross_entropy(activations.logits, torch.tensor([0, 1, 2, 6])))
    assert [key for key, parameter in model.named_parameters() if parameter.grad is None] == []

    model.eval()
    assert torch.equal(model(images), model.activations(images).logits)
    assert set(counters(model)) <= {1}


@pytest.mark.parametrize("image_shape", [(3, 32, 32), (3, 64, 64)], ids=["32", "64"])
@pytest.mark.parametrize("name", ZOO)
def test_larger_images(name: str, image_shape: ImageShape) -> None:
    model = build(name, image_shape)
    images = torch.randn(2, *image_shape)
    torch.autograd.backward(model.train()(images).sum())
    assert model.eval()(images).isfinite().all()


@pytest.mark.parametrize("name", ["vgg8", "vgg16", "wrn_16_1", "resnet8", "ShuffleV1", "MobileNetV2"])
def test_odd_and_tiny_images(name: str) -> None:
    model = build(name, (3, 28, 28)).eval()
    for size in (1, 5, 28):
        assert model(torch.randn(2, 3, size, size)).isfinite().all()


@pytest.mark.parametrize("name", ZOO)
def test_preactivations_and_their_norms(name: str) -> None:
    model = build(name, (3, 8, 8)).eval()
    activations = model.activations(torch.randn(2, 3, 8, 8))
    if activations.preactivations is None or name.startswith("Shuffle"):
        with pytest.raises(ValueError, match="which batch norm comes before the ReLU of each stage"):
            model.get_norms_before_relu()
    else:
        widths = [norm.num_features for norm in model.get_norms_before_relu()]
        assert widths == [preactivation.shape[1] for preactivation in activations.preactivations]
    if activations.preactivations is not None and "wrn" not in name and name != "ShuffleV2":
        for stage, preactivation in zip(activations.stages, activations.preactivations, strict=True):
            assert torch.equal(stage, F.relu(preactivation))


@pytest.mark.parametrize("name", ["wrn_16_1", "vgg11"])
def test_norm_before_relu_computes_the_preactivation(name: str) -> None:
    model = build(name, (3, 8, 8)).eval()
    outputs: list[torch.Tensor] = []
    for norm in model.get_norms_before_relu():
        norm.register_forward_hook(lambda module, arguments, output: outputs.append(output))
    preactivations = model.activations(torch.randn(2, 3, 8, 8)).preactivations
    assert preactivations is not None
    assert [id(output) for output in outputs] == [id(preactivation) for preactivation in preactivations]
