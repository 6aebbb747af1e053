import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kdlight.losses.ft import ft_loss
from kdlight.methods.ft import FT
from kdlight.models.zoo.resnet import resnet8, resnet8x4
from tests.methods.conftest import build, digits, trainer

SHAPE = (1, 8, 8)


def test_layers_are_the_papers_and_the_term_is_theirs():
    model = FT(resnet8(10, SHAPE), resnet8x4(10, SHAPE), paraphraser_epochs=0, untrained_teacher=True)

    def widths(layers):
        return [tuple(layer.weight.shape[:2]) for layer in layers if hasattr(layer, "kernel_size")]

    assert widths(model.paraphraser["encoder"]) == [(256, 256), (128, 256), (128, 128)]
    assert widths(model.paraphraser["decoder"]) == [(128, 128), (128, 256), (256, 256)]  # transposed: inputs first
    assert widths(model.translator) == [(64, 64), (128, 64), (128, 128)]
    for layers, norms in ((model.paraphraser["encoder"], 0), (model.paraphraser["decoder"], 0), (model.translator, 3)):
        assert [layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)] == [0.1] * 3
        assert sum(isinstance(layer, nn.BatchNorm2d) for layer in layers) == norms
    batch = next(iter(_batches()))
    student, teacher = model.student.activations(batch.images), model.teacher.activations(batch.images)
    factors = model.translator(student.stages[-1]), model.paraphraser["encoder"](teacher.stages[-1])
    assert model.loss_terms(student, teacher, batch)["ft"].item() == pytest.approx(200 * ft_loss(*factors).item())


def test_paraphraser_learns_to_rebuild_the_teachers_map_then_rests(tmp_path):
    model, batch = build(FT, paraphraser_epochs=3), next(iter(_batches()))
    teacher = model.teacher.activations(batch.images).stages[-1]
    rebuilt = model.paraphraser["decoder"](model.paraphraser["encoder"](teacher))
    before = F.mse_loss(rebuilt, teacher).item()
    assert model.batch_terms(batch)["ft_paraphraser"].item() == pytest.approx(before)
    student = {name: value.clone() for name, value in model.student.state_dict().items()}
    trainer(tmp_path, 4, max_steps=8).fit(model, datamodule=digits())
    assert model.batch_terms(batch)["ft_paraphraser"].item() < before
    assert all(torch.equal(value, student[name]) for name, value in model.student.state_dict().items())


def _batches():
    data = digits()
    data.setup("fit")
    return data.choose_probe_batches("val", 50)
