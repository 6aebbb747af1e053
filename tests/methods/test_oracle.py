"""Methods without layers of their own: the sum of their terms is the oracle's value times the recipe's weight."""

import pytest
import torch
from torch import nn

from kdlight.methods.ab import AB
from kdlight.methods.at import AT
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.fitnet import FitNet
from kdlight.methods.fsp import FSP
from kdlight.methods.nst import NST
from kdlight.methods.pkt import PKT
from kdlight.methods.rkd import RKD
from kdlight.methods.sp import SP
from tests.methods.conftest import build


@pytest.mark.parametrize(
    ("method", "case", "weight", "names", "leaves"),
    [
        (AT, "at_p2", 1000, ("at_stage1", "at_stage2", "at_stage3"), "stages"),
        (NST, "nst", 50, ("nst_stage1", "nst_stage2", "nst_stage3"), "stages"),
        (SP, "sp_last", 3000, ("sp",), "last"),
        (PKT, "pkt", 30000, ("pkt",), "embedding"),
        (RKD, "rkd_25_50", 1, ("rkd_distance", "rkd_angle"), "embedding"),
    ],
)
def test_relations(oracle, oracle_batch, oracle_student, oracle_teacher, method, case, weight, names, leaves):
    terms = build(method).loss_terms(oracle_student, oracle_teacher, oracle_batch)
    assert terms.pop("cross_entropy") == cross_entropy(oracle_student.logits, oracle_batch.target)
    assert tuple(terms) == names
    last = oracle_student.stages[-1:]
    wanted = {"stages": oracle_student.stages, "last": last, "embedding": (oracle_student.embedding,)}[leaves]
    oracle.check(case, sum(terms.values()) / weight, *wanted)


def test_fitnet(oracle, oracle_batch, oracle_student, oracle_teacher_same_width):
    model = build(FitNet)
    model.regressor = nn.Identity()
    terms = model.loss_terms(oracle_student, oracle_teacher_same_width, oracle_batch)
    assert set(terms) == {"cross_entropy", "fitnet_stage2"}
    oracle.check("fitnet_mse_mid", terms["fitnet_stage2"] / 100, oracle_student.stages[1])


def test_fitnets_regressor_ends_with_a_relu_like_the_teachers_stage():
    model = build(FitNet)
    shape = model.student.activations(torch.zeros(2, 1, 8, 8)).stages[1].shape[1:]
    regressed = model.regressor(torch.randn(4, *shape))
    assert regressed.min() == 0 < regressed.max()


def test_ab(oracle, oracle_batch, oracle_student, oracle_teacher_same_width):
    model = build(AB)
    assert all(isinstance(connector, nn.Identity) for connector in model.connectors)
    terms = model.loss_terms(oracle_student, oracle_teacher_same_width, oracle_batch)
    assert tuple(terms) == ("ab_stage1", "ab_stage2", "ab_stage3")
    oracle.check("ab_margin1", sum(terms.values()), *oracle_student.stages)


def test_fsp(oracle, oracle_batch, oracle_student, oracle_teacher_same_width):
    of_student, of_teacher = (
        computed._replace(stem=computed.stages[0], stages=computed.stages[1:])
        for computed in (oracle_student, oracle_teacher_same_width)
    )
    terms = build(FSP).loss_terms(of_student, of_teacher, oracle_batch)
    assert tuple(terms) == ("fsp_stage1", "fsp_stage2")
    oracle.check("fsp", sum(terms.values()), *oracle_student.stages)
