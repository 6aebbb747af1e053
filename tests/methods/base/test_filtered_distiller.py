"""The layers that RID and TED share, and how they and VID's regressors are drawn."""

import math

import pytest
import torch
from torch import nn

from kdlight.methods.rid import RID
from kdlight.methods.ted import TED
from kdlight.methods.vid import VID
from tests.methods.conftest import build, digits, trainer


@pytest.mark.parametrize("method", [RID, TED, VID])
def test_the_authors_draw_is_uniform_over_the_fan_out(method):
    torch_draw, authors_draw = (build(method, initialisation=name) for name in ("torch", "authors"))
    drawn = 0
    for name, layer in authors_draw.named_modules():
        if name.startswith("student.") or not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        drawn += 1
        bound = math.sqrt(6 / layer.weight.shape[0])  # of kernels 1x1 the fan out is the number of outputs
        assert 0.9 * bound < layer.weight.abs().max() <= bound, name
        assert layer.bias is None or torch.equal(layer.bias, torch.zeros_like(layer.bias)), name
        other = torch_draw.get_submodule(name).weight
        assert other.abs().max() <= math.sqrt(1 / layer.weight.shape[1]), name
    assert drawn == {RID: 15, TED: 18, VID: 9}[method]
    of_student = (model.student.state_dict().values() for model in (torch_draw, authors_draw))
    assert all(torch.equal(one, other) for one, other in zip(*of_student, strict=True))


@pytest.mark.parametrize(("moving", "epochs"), [(False, 1), (True, 1), (False, 2), (True, 2)])
def test_batch_norms_rest_with_their_phase_or_move_in_every_one(moving, epochs, tmp_path):
    options = {"warmup_epochs": 0, "cycle_epochs": 2, "filter_ratio": 0.5, "moving_statistics": moving}
    model = build(RID, **options)
    trainer(tmp_path, 2, max_steps=4 * epochs).fit(model, datamodule=digits())
    counted = {
        "student": model.student.get_buffer("bn1.num_batches_tracked").item(),
        "f_s": model.student_filters[0][1].num_batches_tracked.item(),
        "f_t": model.teacher_filters[0][1].num_batches_tracked.item(),
    }
    in_own_phase = {"student": 4 * (epochs - 1), "f_s": 4 * (epochs - 1), "f_t": 4}
    assert counted == (dict.fromkeys(counted, 4 * epochs) if moving else in_own_phase)
