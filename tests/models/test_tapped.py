"""Models from outside of the zoo with the zoo's interface."""

import copy
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torchvision.transforms import v2

from kdlight.models.activations import Activations
from kdlight.models.frozen import Frozen
from kdlight.models.tapped import Tapped

STAGES = ["layer1", "layer2", "layer3", "layer4"]


@pytest.fixture
def resnet18() -> Tapped:
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=6)
    return Tapped(model, STAGES, embedding="avgpool", stem="maxpool", image_shape=(3, 64, 64))


def test_resnet18(resnet18: Tapped) -> None:
    images = torch.randn(2, 3, 64, 64)
    resnet18.eval()
    activations = resnet18.activations(images)
    assert (resnet18.num_classes, resnet18.image_shape) == (6, (3, 64, 64))
    assert [tuple(stage.shape[1:]) for stage in activations.stages] == [
        (64, 16, 16),
        (128, 8, 8),
        (256, 4, 4),
        (512, 2, 2),
    ]
    assert activations.stem is not None
    assert activations.stem.shape == (2, 64, 16, 16)
    assert activations.preactivations is None
    assert torch.equal(activations.embedding, activations.stages[-1].mean(dim=(2, 3)))
    assert torch.equal(activations.logits, resnet18.head(activations.embedding))
    assert torch.equal(activations.logits, resnet18(images))


def test_mobilenet_v2_has_no_pooling_module_so_the_embedding_is_the_input_of_its_head() -> None:
    model = torchvision.models.mobilenet_v2(num_classes=6)
    tapped = Tapped(model, ["features.3", "features.18"])
    for mode in (True, False):
        activations = tapped.train(mode).activations(torch.randn(2, 3, 32, 32))
        assert activations.embedding.shape == (2, 1280)
        assert torch.equal(activations.logits, tapped.head(activations.embedding))
    assert tapped.head is model.classifier[1]


def test_images_of_a_folder(resnet18: Tapped, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((80, 90, 3), 128, dtype=np.uint8)).save(tmp_path / name / "0.png")
    transform = v2.Compose([v2.ToImage(), v2.CenterCrop(64), v2.ToDtype(torch.float32, scale=True)])
    folder = torchvision.datasets.ImageFolder(tmp_path, transform)
    images = torch.stack([image for image, _ in folder])
    assert resnet18.eval().activations(images).logits.shape == (2, 6)


def test_gradient_reaches_every_parameter_and_norms_run_once(resnet18: Tapped) -> None:
    activations = resnet18.train().activations(torch.randn(2, 3, 64, 64))
    torch.autograd.backward(activations.logits.sum() + activations.stages[0].sum())
    assert all(parameter.grad is not None for parameter in resnet18.parameters())
    assert int(resnet18.model.bn1.num_batches_tracked) == 1  # type: ignore[arg-type,union-attr]


def test_a_copy_reads_itself(resnet18: Tapped) -> None:
    images = torch.randn(2, 3, 64, 64)
    before = resnet18.eval().activations(images)
    twin = copy.deepcopy(resnet18)
    nn.init.zeros_(twin.model.layer1[0].conv1.weight)  # type: ignore[union-attr,index]
    assert not torch.equal(twin.activations(images).stages[0], before.stages[0])
    assert torch.equal(resnet18.activations(images).stages[0], before.stages[0])


def test_nothing_stays_after_the_call(resnet18: Tapped) -> None:
    activations = Frozen(resnet18).activations(torch.randn(2, 3, 64, 64))
    stage = weakref.ref(activations.stages[1])
    del activations
    gc.collect()
    assert stage() is None
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in resnet18.modules())


def test_gradient_from_a_stage_on(resnet18: Tapped) -> None:
    activations = Frozen(resnet18).activations(torch.randn(2, 3, 64, 64), gradient_from=3)
    (gradient,) = torch.autograd.grad(activations.logits[:, 1].sum(), activations.stages[3])
    weight = resnet18.head.weight[1]  # type: ignore[index]
    torch.testing.assert_close(gradient, (weight / 4).reshape(1, -1, 1, 1).expand(2, -1, 2, 2))


def test_inference_mode(resnet18: Tapped) -> None:
    with torch.inference_mode():
        assert resnet18.eval().activations(torch.randn(2, 3, 64, 64)).embedding.shape == (2, 512)


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_under_ddp(resnet18: Tapped) -> None:
    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.student = resnet18

        def forward(self, images: Tensor) -> Activations:
            return self.student.activations(images)

    activations = DistributedDataParallel(Step())(torch.randn(2, 3, 64, 64))
    activations.stages[3].sum().backward()
    activations = DistributedDataParallel(Step())(torch.randn(2, 3, 64, 64))
    (activations.logits.sum() + activations.stages[3].sum()).backward()
    assert all(parameter.grad is not None for parameter in resnet18.parameters())


def test_wrong_names_fail_at_once_and_name_the_right_ones() -> None:
    model = torchvision.models.resnet18()
    with pytest.raises(ValueError, match=r"ResNet has no module 'layr4'; nearest: layer4"):
        Tapped(model, ["layer1", "layr4"])
    with pytest.raises(ValueError, match=r"no module 'avg_pool'; nearest: avgpool"):
        Tapped(model, STAGES, embedding="avg_pool")
    with pytest.raises(ValueError, match=r"no module 'zzz'; nearest: conv1, bn1"):
        Tapped(model, STAGES, stem="zzz")
    with pytest.raises(ValueError, match=r"head of ResNet must be a linear layer; the model's last .* are \['fc'\]"):
        Tapped(model, STAGES, head="avgpool")
    with pytest.raises(ValueError, match="must be a linear layer"):
        Tapped(nn.Sequential(nn.Conv2d(3, 3, 1)), ["0"])


def test_a_value_that_is_overwritten_is_an_error() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(ValueError, match=r"model\.0 is overwritten by the layer after it"):
        Tapped(model, ["0"]).activations(torch.randn(2, 3, 2, 2))
    assert Tapped(model, ["1"]).activations(torch.randn(2, 3, 2, 2)).stages[0].min() == 0


def test_a_module_that_does_not_run_is_an_error() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Flatten()
            self.spare = nn.Identity()
            self.fc = nn.Linear(12, 2)

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.fc(self.body(images))
            return logits

    with pytest.raises(ValueError, match=r"model\.spare gave NoneType where one tensor is needed"):
        Tapped(Unused(), ["spare"]).activations(torch.randn(2, 3, 2, 2))
