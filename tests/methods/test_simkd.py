import copy

import pytest
import torch

from kdlight.losses.kd import kd_loss
from kdlight.losses.simkd import simkd_loss
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.simkd import ReusedClassifier, SimKD
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.zoo.mobilenet_v2 import MobileNetV2
from kdlight.models.zoo.resnet import resnet8
from kdlight.models.zoo.wrn import wrn_16_1, wrn_16_2
from tests.methods.conftest import build, digits, trainer

SHAPE = (1, 8, 8)


class GivenMaps(Classifier):
    """A backbone that has computed its maps already."""

    head_name, stage_names = "head_layer", ("first", "last")

    def __init__(self, channels, last):
        super().__init__(20, SHAPE)
        self.head_layer, self.last = torch.nn.Linear(channels, 20), last

    def activations(self, images):
        return Activations(images, images, (images, self.last))


@pytest.mark.parametrize(("name", "stage"), [("simkd_last_f2", 2), ("simkd_mid_pooled_f2", 1)])
def test_oracle(oracle, inputs, name, stage):
    case, filled, student = oracle.cases[name], oracle.fill(name), inputs.student_feats[stage]
    teacher = GivenMaps(32, None)
    network = ReusedClassifier(GivenMaps(16, student), teacher, student, inputs.teacher_feats[2], factor=2).double()
    renamed = {
        key.replace("transfer.", "projector.").replace("teacher_classifier.", "classifier."): value
        for key, value in filled.items()
    }
    assert not network.load_state_dict(renamed, strict=False).unexpected_keys
    computed = network.activations(torch.empty(8, 0))
    value = simkd_loss(computed.stages[-1], inputs.teacher_feats[2])
    oracle.check(name, value, student, network.projector[0].weight)
    assert computed.logits[0, :3].tolist() == pytest.approx(case["logits_first_3"], rel=1e-9)


def test_prediction_is_the_teachers_classifier_of_the_projected_map(tmp_path):
    model = build(SimKD)
    head = copy.deepcopy(model.teacher.model.head)
    loop = trainer(tmp_path, 1)
    loop.fit(model, datamodule=digits())
    model.eval()
    images = torch.randn(8, *SHAPE)
    with torch.no_grad():
        projected = model.student.projector(model.student.backbone.activations(images).stages[-1])
        expected = head(projected.mean((2, 3)))
        assert torch.equal(model(images), expected)
        assert torch.equal(model.student(images), expected)
    assert not torch.equal(expected, model.teacher.activations(images).logits)
    predicted = loop.predict(model, datamodule=digits(), weights_only=True)[0]["probabilities"]
    data = digits()
    data.setup("predict")
    batch = data.choose_probe_batches("test")[0]
    assert torch.allclose(predicted, model.student.eval()(batch.images[: len(predicted)]).softmax(1), atol=1e-6)


def test_teachers_classifier_is_in_the_checkpoint_and_no_parameter():
    model = build(SimKD)
    assert {"student.classifier.weight", "student.classifier.bias"} < model.state_dict().keys()
    assert not any("classifier" in name or ".fc" in name for name, _ in model.named_parameters())
    assert model.student.num_classes == 10
    for stage in model.student.stage_names:
        model.student.get_submodule(stage)


def test_wrn_maps_are_taken_after_norm_and_relu():
    model = SimKD(wrn_16_1(10, SHAPE), wrn_16_2(10, SHAPE), untrained_teacher=True)
    images = torch.randn(8, *SHAPE)
    student, teacher = model.student.activations(images), model.teacher.activations(images)
    assert tuple(model.loss_terms(student, teacher, None)) == ("simkd",)
    target = teacher.preactivations[-1].relu()
    assert target.mean((2, 3)).allclose(teacher.embedding)
    assert model.loss_terms(student, teacher, None)["simkd"].item() == pytest.approx(
        simkd_loss(student.stages[-1], target).item()
    )
    model.loss_terms(student, teacher, None)["simkd"].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_other_terms_take_the_reused_classifier(oracle_batch):
    model = build(SimKD, ce_weight=0.5, kd_weight=2.0)
    images, target = torch.randn(8, *SHAPE), torch.arange(8)
    student, teacher = model.student.activations(images), model.teacher.activations(images)
    terms = model.loss_terms(student, teacher, oracle_batch._replace(target=target))
    assert terms["cross_entropy"].item() == pytest.approx(0.5 * cross_entropy(student.logits, target).item())
    soft = kd_loss(student.logits, teacher.logits, temperature=4.0)
    assert terms["kd"].item() == pytest.approx(2 * soft.item())


def test_a_student_with_layers_behind_its_last_map_trains_without_them(tmp_path):
    model = SimKD(MobileNetV2(10, SHAPE), resnet8(10, SHAPE), untrained_teacher=True)
    idle = model.student.backbone.conv2[0].weight.clone()
    trainer(tmp_path, 1).fit(model, datamodule=digits())
    assert torch.equal(model.student.backbone.conv2[0].weight, idle)


def test_a_teacher_with_layers_behind_its_last_map_is_refused():
    with pytest.raises(ValueError, match="the mean of its last map, got MobileNetV2"):
        SimKD(resnet8(10, SHAPE), MobileNetV2(10, SHAPE), untrained_teacher=True)
    with pytest.raises(ValueError, match=r"student's number of classes \(10\), got 7"):
        SimKD(resnet8(10, SHAPE), resnet8(7, SHAPE), untrained_teacher=True)
