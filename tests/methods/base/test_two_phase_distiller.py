"""The two phases of AB and FSP."""

import pytest
import torch

from kdlight.methods.ab import AB
from kdlight.methods.fsp import FSP
from kdlight.models.tapped import Tapped
from kdlight.models.zoo.mobilenet_v2 import MobileNetV2
from kdlight.models.zoo.resnet import resnet8, resnet8x4
from kdlight.models.zoo.wrn import wrn_16_1
from tests.methods.conftest import build, digits, trainer

SHAPE = (1, 8, 8)


@pytest.mark.parametrize("method", [AB, FSP])
def test_first_phase_leaves_the_head_and_second_needs_no_teacher(method, tmp_path):
    model = build(method, init_epochs=1)
    head = model.student.head.weight.clone()
    trainer(tmp_path, 1).fit(model, datamodule=digits())
    assert torch.equal(model.student.head.weight, head)

    model = build(method, init_epochs=0)
    model.teacher.activations = None
    trainer(tmp_path, 1).fit(model, datamodule=digits())
    assert not torch.equal(model.student.head.weight, head)


@pytest.mark.parametrize("method", [AB, FSP])
def test_soft_targets_join_the_second_phase(method, tmp_path):
    loop = trainer(tmp_path, 2)
    loop.fit(build(method, init_epochs=1, kd_weight=0.5), datamodule=digits())
    assert {"train/cross_entropy", "train/kd"} < loop.callback_metrics.keys()


def test_ab_connects_networks_of_other_widths_before_their_relu():
    model = AB(wrn_16_1(10, SHAPE), resnet8x4(10, SHAPE), untrained_teacher=True, init_epochs=2)
    images = torch.randn(4, *SHAPE)
    student, teacher = model.student.activations(images), model.teacher.activations(images)
    connected = [model.connectors[place](student.preactivations[place]) for place in range(3)]
    assert [a_map.shape for a_map in connected] == [stage.shape for stage in teacher.preactivations]
    assert all(a_map.min() < 0 for a_map in connected)
    assert all(term.isfinite() for term in model.init_terms(student, teacher).values())
    phases = [model.connectors in model.trainable_children(epoch) for epoch in range(4)]
    assert phases == [True, True, False, False]


def test_networks_that_do_not_fit_are_refused():
    teacher = {"teacher": resnet8(10, SHAPE), "untrained_teacher": True}
    with pytest.raises(ValueError, match="expected a student that shows its feature maps before the ReLU"):
        AB(Tapped(MobileNetV2(10, SHAPE), ["blocks.1", "blocks.2", "blocks.6"], image_shape=SHAPE), **teacher)
    with pytest.raises(ValueError, match=r"are \[32, 64, 128, 256\], the teacher's are \[16, 16, 32, 64\]"):
        FSP(resnet8x4(10, SHAPE), **teacher)
    without_stem = Tapped(resnet8(10, SHAPE), ["layer1", "layer2", "layer3"], image_shape=SHAPE)
    without_stem.activations = lambda images: without_stem.model.activations(images)._replace(stem=None)
    with pytest.raises(ValueError, match=r"wrap the network in kdlight\.models\.Tapped with the argument stem"):
        FSP(without_stem, **teacher)


def test_a_fused_optimizer_is_refused_before_the_first_step(tmp_path):
    fused = {"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, fused=True)}
    with pytest.raises(ValueError, match="expected fused: false"):
        trainer(tmp_path, 2).fit(build(AB, **fused), datamodule=digits())
