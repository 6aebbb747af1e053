"""Which stages are paired where the networks have unequal numbers of them."""

import re

import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.methods.base.distiller import Distiller
from kdlight.methods.base.stages import pair_stages
from kdlight.methods.fsp import FSP
from kdlight.methods.kd import KD
from kdlight.models.zoo.resnet import resnet8
from kdlight.models.zoo.resnet_wide import ResNet18
from kdlight.models.zoo.vgg import vgg13
from tests.methods.conftest import arguments, build, parameters, shipped

SHAPE = (3, 32, 32)


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [(resnet8, vgg13, [(0, 1), (1, 2), (2, 3)]), (vgg13, resnet8, [(1, 0), (2, 1), (3, 2)])],
)
def test_stages_are_paired_from_the_deepest(student, teacher, expected):
    model = KD(student(10, SHAPE), teacher(10, SHAPE), untrained_teacher=True)
    assert [pair[:2] for pair in pair_stages(model)] == expected
    assert [pair[:2] for pair in pair_stages(model, [0, -1])] == [expected[0], expected[-1]]


def spoil_shallowest(run):
    """The activations of a network with NaN in its first stage: whatever reads that stage is not finite."""

    def replace_first(maps):
        return maps and (torch.full_like(maps[0], torch.nan), *maps[1:])

    def run_and_spoil(*args, **options):
        computed = run(*args, **options)
        return computed._replace(
            stages=replace_first(computed.stages), preactivations=replace_first(computed.preactivations)
        )

    return run_and_spoil


# FSP asks for networks of one width.
METHODS = [made for made in shipped() if issubclass(made, Distiller) and made is not FSP]


@pytest.mark.parametrize("method", METHODS, ids=lambda made: made.__name__)
@pytest.mark.parametrize(("student", "teacher", "longer"), [(resnet8, vgg13, 1), (ResNet18, resnet8, -1)])
def test_every_method_that_pairs_stages_pairs_the_deepest(method, student, teacher, longer, monkeypatch):
    torch.manual_seed(0)
    model = method(student(10, SHAPE), teacher(10, SHAPE), untrained_teacher=True, **arguments(method))
    if not hasattr(model, "pairs") and not hasattr(model, "pair"):
        pytest.skip("compares no stages")
    pairs = [pair[:2] for pair in (model.pairs if hasattr(model, "pairs") else [model.pair])]
    assert pairs
    assert all(of_teacher == of_student + longer for of_student, of_teacher in pairs)
    network = model.teacher if longer == 1 else model.student
    monkeypatch.setattr(network, "activations", spoil_shallowest(network.activations))
    terms = model.batch_terms(Batch(torch.randn(4, *SHAPE), torch.arange(4), torch.arange(4)))
    assert all(term.isfinite() for term in terms.values())


@pytest.mark.parametrize(
    "method", [made for made in METHODS if "stages" in parameters(made)], ids=lambda made: made.__name__
)
def test_the_stages_that_are_asked_for_are_compared_and_no_other(method):
    model = build(method, stages=[-1])
    terms = model.batch_terms(Batch(torch.randn(4, 1, 8, 8), torch.arange(4), torch.arange(4)))
    assert {stage for name in terms for stage in re.findall(r"stage\d", name)} == {"stage3"}
