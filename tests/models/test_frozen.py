"""The teacher stays as it is, outside its holder's module tree."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdlight.errors import UserError
from kdlight.models.classifier import Classifier
from kdlight.models.frozen import Frozen
from kdlight.models.tapped import Tapped
from kdlight.models.zoo.mobilenet_v2 import MobileNetV2
from kdlight.models.zoo.resnet import resnet8
from kdlight.models.zoo.vgg import vgg8
from kdlight.models.zoo.wrn import wrn_16_1


class Holder(nn.Module):
    def __init__(self, teacher: Frozen) -> None:
        super().__init__()
        self.student = nn.Linear(2, 2)
        self.teacher = teacher

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self.teacher.convert(fn)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


@pytest.fixture
def teacher() -> Frozen:
    torch.manual_seed(0)
    return Frozen(resnet8(5))


def test_is_no_part_of_its_holder(teacher: Frozen) -> None:
    holder = Holder(teacher)
    assert list(holder.state_dict()) == ["student.weight", "student.bias"]
    assert len(list(holder.parameters())) == 2
    assert not list(holder.buffers())
    assert [name for name, _ in holder.named_children()] == ["student"]


def test_follows_its_holder(teacher: Frozen) -> None:
    holder = Holder(teacher).double()
    tensors = [tensor for tensor in teacher.model.state_dict().values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in tensors} == {torch.float64}
    assert teacher.activations(torch.randn(2, 3, 32, 32).double()).logits.dtype == torch.float64
    assert not any(parameter.requires_grad for parameter in teacher.model.parameters())
    holder.to("meta")
    assert next(teacher.model.parameters()).is_meta


def test_train_changes_nothing(teacher: Frozen) -> None:
    before = teacher.sha256()
    Holder(teacher).train()
    assert not any(module.training for module in teacher.model.modules())
    teacher.model.train()
    teacher.activations(torch.randn(4, 3, 32, 32))
    assert teacher.sha256() == before


def test_activations_have_no_graph_but_can_be_learned_from(teacher: Frozen) -> None:
    activations = teacher.activations(torch.randn(2, 3, 32, 32, requires_grad=True))
    tensors = [activations.logits, activations.embedding, *activations.stages, *(activations.preactivations or ())]
    assert not any(tensor.requires_grad for tensor in tensors)
    student_filter = nn.Conv2d(64, 3, 1)
    student_filter(activations.stages[2]).sum().backward()
    assert student_filter.weight.grad is not None


def test_copy_and_pickle(teacher: Frozen) -> None:
    for twin in (copy.deepcopy(teacher), pickle.loads(pickle.dumps(teacher)), copy.deepcopy(Holder(teacher)).teacher):
        assert twin.model is not teacher.model
        assert twin.sha256() == teacher.sha256()
        assert twin.num_classes == 5


def test_sha256_sees_names_types_shapes_and_values(teacher: Frozen) -> None:
    before = teacher.sha256()
    channels_last = copy.deepcopy(teacher.model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert before == Frozen(channels_last).sha256()
    assert before != Frozen(resnet8(5)).sha256()
    assert before != Frozen(copy.deepcopy(teacher.model).double()).sha256()
    assert before != Frozen(Tapped(teacher.model, ["layer1"])).sha256()
    teacher.model.bn1.running_mean[3] += 1e-3  # type: ignore[operator,index,union-attr]
    assert before != teacher.sha256()


@pytest.mark.parametrize("network", [resnet8, vgg8, wrn_16_1, MobileNetV2])
@pytest.mark.parametrize("stage", [0, -1])
@pytest.mark.parametrize("inference", [False, True])
def test_gradient_from_a_stage_on(network: Callable[[int], Classifier], stage: int, inference: bool) -> None:
    torch.manual_seed(0)
    model = network(5).double()
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    whole = model.eval().activations(images)
    (expected,) = torch.autograd.grad(whole.logits[:, 2].sum(), whole.stages[stage])

    with torch.inference_mode(inference):
        images = images.clone()
        activations = Frozen(model).activations(images, gradient_from=stage)
    (gradient,) = torch.autograd.grad(activations.logits[:, 2].sum(), activations.stages[stage])
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)
    assert activations.stem is not None
    assert not activations.stem.requires_grad
    assert not Frozen(model).activations(images).logits.requires_grad


def test_a_module_of_another_kind_is_refused():
    with pytest.raises(UserError, match=r"Frozen: expected a network of kdlight.models .* got Linear; wrap it"):
        Frozen(torch.nn.Linear(2, 2))
