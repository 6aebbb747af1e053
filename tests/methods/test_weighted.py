"""RID, TED and VID against values of their reference code, through the methods and with weights other than 1."""

import math

import pytest
import torch
from torch import nn

from kdlight.losses.parts.shapes import expand_per_channel
from kdlight.methods.rid import RID, FurtherTarget
from kdlight.methods.ted import TED
from kdlight.methods.vid import VID, VIDRegressor
from tests.methods.conftest import build

RID_OPTIONS = {
    "warmup_epochs": 1,
    "cycle_epochs": 4,
    "filter_ratio": 0.5,
    "reduction": "mean",
    "lambda1": 3.0,
    "lambda2": 5.0,
    "filter_mismatch_weight": 7.0,
}
WARMUP, FILTERS, STUDENT = 0, 2, 3


class GivenLogits(nn.Module):
    """A head that has computed its logits already."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, filtered):
        return self.logits


def unfiltered(model, inputs):
    """The method with identities for filters, and for heads the logits of the oracle's case."""
    same = [nn.Identity() for _ in model.pairs]
    model.teacher_filters, model.student_filters = nn.ModuleList(same), nn.ModuleList(same)
    logits = inputs.student_logits, inputs.teacher_logits, (inputs.student_logits + inputs.teacher_logits) / 2
    model.teacher_heads = nn.ModuleList(map(GivenLogits, logits))
    return model


@pytest.fixture
def terms(oracle_student, oracle_teacher_same_width, oracle_batch, monkeypatch):
    def at(model, epoch):
        monkeypatch.setattr(type(model), "current_epoch", epoch)
        return model.loss_terms(oracle_student, oracle_teacher_same_width, oracle_batch)

    return at


def of(terms, kind):
    return sum(term for name, term in terms.items() if name.startswith(kind))


@pytest.mark.parametrize(("start", "ends"), [("const", (5, 5)), ("ramp", (-2, 3))])
def test_rid(oracle, inputs, terms, start, ends):
    model = unfiltered(build(RID, **RID_OPTIONS), inputs)
    raw = [torch.linspace(*ends, a_map.shape[1], dtype=torch.float64) for a_map in inputs.student_feats]
    model.raw_variances = nn.ParameterList(map(nn.Parameter, raw))
    leaves = *inputs.student_feats, *inputs.teacher_feats_same_width, *model.raw_variances
    cross_entropies = oracle.cases["rid_phase1_total"]["head_cross_entropies"]

    heads = [f"head_stage{stage}" for stage in (1, 2, 3)]
    warmup = terms(model, WARMUP)
    assert list(warmup) == heads
    assert [term.item() for term in warmup.values()] == pytest.approx(cross_entropies, rel=1e-6)

    filters = terms(model, FILTERS)
    assert set(filters) == {*heads, *(f"mismatch_stage{stage}" for stage in (1, 2, 3))}
    assert [filters[head].item() for head in heads] == pytest.approx(cross_entropies, rel=1e-6)
    oracle.check(f"rid_phase1_mismatch_{start}", of(filters, "mismatch") / 7, *leaves)

    student = terms(model, STUDENT)
    assert not any(name.startswith("head") for name in student)
    assert student["cross_entropy"].item() == pytest.approx(3 * cross_entropies[0], rel=1e-6)
    oracle.check(f"rid_phase2_{start}", (of(student, "mismatch") + of(student, "variance")) / 5, *leaves)


@pytest.mark.parametrize("method", [RID, TED])
def test_the_weights_of_sums(method, inputs, terms):
    options = {**RID_OPTIONS, "reduction": "sum"} if method is RID else {"filter_epochs": 3, "ted_weight": 5.0}
    model = unfiltered(build(method, **{**options, "reduction": "sum"}), inputs)
    if method is RID:
        widths = [a_map.shape[1] for a_map in inputs.student_feats]
        model.raw_variances = nn.ParameterList(nn.Parameter(torch.linspace(-2, 3, width)) for width in widths)
    found = terms(model, STUDENT)
    for place, (first, second) in enumerate(zip(inputs.student_feats, inputs.teacher_feats_same_width, strict=True)):
        difference = (first - second).square()
        if method is RID:
            variance = model.raw_variances[place].exp().log1p() + 1e-3
            difference = difference / expand_per_channel(variance, difference)
            penalty = 5 * variance.square().sum()
            assert found[f"variance_stage{place + 1}"].item() == pytest.approx(penalty.item(), rel=1e-6)
        name = ("mismatch" if method is RID else "ted") + f"_stage{place + 1}"
        assert found[name].item() == pytest.approx(5 * difference.sum().item() / 8, rel=1e-6)


def test_rids_variances_begin_at_the_softplus_of_five():
    model = build(RID)
    assert [len(raw) for raw in model.raw_variances] == [pair.student_shape[0] for pair in model.pairs]
    assert all(torch.equal(raw, torch.full_like(raw, 5.0)) for raw in model.raw_variances)


def test_rids_filters_and_heads_have_their_own_rate():
    model = build(RID, filter_rate=20.0, further_targets={"parity": FurtherTarget(2)})
    groups = model.configure_optimizers().param_groups
    rate_of = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    for name, parameter in model.named_parameters():
        own = name.startswith(("teacher_filters", "teacher_heads", "further_heads"))
        assert rate_of[id(parameter)] == pytest.approx(0.05 * (20 if own else 1)), name
    assert any(name.startswith("further_heads") for name, _ in model.named_parameters())


def test_ted(oracle, inputs, terms):
    model = unfiltered(build(TED, ted_weight=3.0, ce_weight=2.0, filter_epochs=2), inputs)
    model.student_heads = model.teacher_heads
    second = terms(model, 2)
    assert set(second) == {"cross_entropy", "ted_stage1", "ted_stage2", "ted_stage3"}
    cross_entropies = oracle.cases["rid_phase1_total"]["head_cross_entropies"]
    assert second["cross_entropy"].item() == pytest.approx(2 * cross_entropies[0], rel=1e-6)
    oracle.check("ted_distance", of(second, "ted") / 3, *inputs.student_feats)

    first = terms(model, 1)
    for network in ("teacher", "student"):
        heads = [first.pop(f"{network}_head_stage{stage}").item() for stage in (1, 2, 3)]
        assert heads == pytest.approx(cross_entropies, rel=1e-6)
    assert not first
    assert [model.student in model.trainable_children(epoch) for epoch in range(4)] == [False, False, True, True]


@pytest.mark.parametrize("norm", [False, True])
def test_vids_regressor_of_the_rid_authors_has_batch_norms_and_twice_the_width(norm):
    (regressor,) = build(VID, stages=[1], regressor_norm=norm).regressors
    width = regressor.mean[-1].out_channels
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in regressor.mean) == (2 if norm else 0)
    assert regressor.mean[-1].in_channels == (2 * width if norm else width)


def test_vid_of_sums(inputs, terms):
    model = build(VID, vid_weight=3.0, stages=[1], reduction="sum")
    model.regressors = nn.ModuleList([VIDRegressor(12, 12)])
    model.regressors[0].mean = nn.Identity()
    first, second = inputs.student_feats[1], inputs.teacher_feats_same_width[1]
    expected = 3 / 2 * ((first - second).square() / 5 + math.log(5)).sum().item() / len(first)
    assert terms(model, 0)["vid_stage2"].item() == pytest.approx(expected, rel=1e-6)


def test_vids_variance_has_a_floor():
    (regressor,) = build(VID, stages=[1]).regressors
    torch.nn.init.constant_(regressor.raw_variance, -1000.0)
    assert regressor.variance.tolist() == pytest.approx([1e-5] * len(regressor.variance))


def test_vid(oracle, inputs, terms):
    model = build(VID, vid_weight=3.0, ce_weight=2.0, stages=[1])
    torch.set_default_dtype(torch.float64)
    try:
        regressor = VIDRegressor(12, 12)
    finally:
        torch.set_default_dtype(torch.float32)
    regressor.mean = nn.Identity()
    model.regressors = nn.ModuleList([regressor])
    found = terms(model, 0)
    assert list(found) == ["cross_entropy", "vid_stage2"]
    ce = oracle.cases["rid_phase1_total"]["head_cross_entropies"][0]
    assert found["cross_entropy"].item() == pytest.approx(2 * ce, rel=1e-6)
    oracle.check("vid_mid_v5", found["vid_stage2"] / 3, inputs.student_feats[1], regressor.raw_variance)
