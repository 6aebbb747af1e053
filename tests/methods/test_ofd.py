import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.losses.ofd import ofd_loss, ofd_margin
from kdlight.methods.ab import AB
from kdlight.methods.ofd import OFD
from kdlight.models.tapped import Tapped
from kdlight.models.zoo.mobilenet_v2 import MobileNetV2
from kdlight.models.zoo.resnet import resnet8
from kdlight.models.zoo.shufflenet_v1 import ShuffleV1
from kdlight.models.zoo.vgg import vgg8
from kdlight.models.zoo.wrn import wrn_16_2

SHAPE = (1, 8, 8)


def test_every_stage_is_compared_before_its_relu_within_the_margin_of_its_own_norm():
    teacher = wrn_16_2(10, SHAPE)
    norms = teacher.get_norms_before_relu()
    for norm in norms:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    model = OFD(resnet8(10, SHAPE), teacher, untrained_teacher=True).train()
    images = torch.randn(8, *SHAPE)
    student, of_teacher = model.student.activations(images), model.teacher.activations(images)
    terms = model.loss_terms(student, of_teacher, Batch(images, torch.arange(8), torch.arange(8)))
    for place, factor in enumerate((0.25, 0.5, 1)):
        regressed = model.regressors[place](student.preactivations[place])
        margin = ofd_margin(norms[place].weight, norms[place].bias)
        expected = 1e-3 * factor * ofd_loss(regressed, of_teacher.preactivations[place], margin)
        assert terms[f"ofd_stage{place + 1}"].item() == pytest.approx(expected.item())
    assert not any("margin" in name for name in model.state_dict())


def test_regressors_are_drawn_by_the_teachers_width():
    model = OFD(resnet8(10, SHAPE), wrn_16_2(10, SHAPE), untrained_teacher=True)
    for (convolution, _), width in zip(model.regressors, (32, 64, 128), strict=True):
        assert convolution.weight.std().item() == pytest.approx((2 / width) ** 0.5, rel=0.1)


def tapped(num_classes, image_shape):
    """A foreign network, of which nobody knows whether a ReLU ends its stages."""
    return Tapped(MobileNetV2(num_classes, image_shape), ["blocks.1", "blocks.2", "blocks.6"], image_shape=image_shape)


@pytest.mark.parametrize("method", [AB, OFD])
def test_a_linear_bottleneck_is_compared_as_it_is(method):
    shape = (3, 32, 32)
    model = method(MobileNetV2(10, shape), vgg8(10, shape), untrained_teacher=True)
    images = torch.randn(8, *shape)
    computed = model.student.activations(images)
    connected = (model.connectors if method is AB else model.regressors)[0](computed.stages[model.pairs[0].student])
    assert connected.shape[1] == model.teacher.activations(images).preactivations[model.pairs[0].teacher].shape[1]
    terms = model.batch_terms(Batch(images, torch.arange(8), torch.arange(8)))
    assert sum(name.startswith(method.__name__.lower()) for name in terms) == len(model.pairs)
    assert all(term.isfinite() for term in terms.values())


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        (tapped, resnet8, "expected a student that shows its feature maps before the ReLU"),
        (resnet8, ShuffleV1, "ShuffleV1 does not say which batch norm comes before the ReLU of each stage"),
    ],
)
def test_networks_that_do_not_show_what_is_needed_are_refused(student, teacher, message):
    with pytest.raises(ValueError, match=message):
        OFD(student(10, SHAPE), teacher(10, SHAPE), untrained_teacher=True)
