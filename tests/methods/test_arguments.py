"""Every number that a method takes changes what the method does, and a weight the size of terms."""

import inspect
import re
import typing

import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.methods.base.learner import Learner
from kdlight.methods.cakd import CAKD
from kdlight.methods.rid import RID
from kdlight.ranges import NonNegativeFloat, Weight, read_annotations
from tests.methods.conftest import arguments, build, digits, parameters, shipped, trainer

EPOCHS = 3
WEIGHTS = re.compile(r"weight$|^alpha$|^beta$|^gamma$|^lambda")


def holds(kind: object, number: type) -> bool:
    """Whether an annotation is a kind of number, a range of it, or a choice of which one is."""
    inside = () if typing.get_origin(kind) is dict else typing.get_args(kind)
    return kind is number or any(holds(part, number) for part in inside)


def numbers(method: type[Learner]) -> dict[str, float]:
    """The arguments of a method that are floats. One that is 0 by default becomes 1, so that what it is for shows."""
    given = arguments(method)
    values = {  # without ratios: another one leaves phases of one epoch as they are
        name: given.get(name, parameter.default)
        for name, parameter in parameters(method).items()
        if holds(parameter.annotation, float) and not name.endswith("_ratio")
    }
    return {name: value or 1.0 for name, value in values.items() if isinstance(value, int | float)}


@pytest.mark.parametrize("made", shipped())
def test_weights_have_the_type_of_weights(made):
    """With plain float, negative weights are accepted, and a method with this weight alone is said to learn nothing.

    `NonNegativeFloat` is for weights of parts of a term, and of terms that do not train the student.
    """
    constructor = inspect.unwrap(made.__init__)
    named = {name: kind for name, kind in read_annotations(constructor).items() if name.endswith("_weight")}
    assert {name for name, kind in named.items() if kind not in (Weight, NonNegativeFloat)} == set()


@pytest.fixture
def behave(tmp_path, monkeypatch):
    """A function of a method and its numbers: the terms of a step in each of three epochs, and the learning rates."""
    loop, data = trainer(tmp_path, EPOCHS), digits()
    data.setup("fit")
    loop.datamodule = data

    def behaviour(method: type[Learner], values: dict[str, float]) -> dict[str, float]:
        model = build(method, **values)
        model.trainer = loop
        model.setup("fit")
        torch.manual_seed(0)
        views = getattr(method, "views", 1)
        batch = Batch(torch.rand(views * 8, *data.image_shape), torch.arange(8), torch.arange(8))
        seen = {}
        for epoch in range(EPOCHS):
            monkeypatch.setattr(method, "current_epoch", epoch)
            seen |= {f"{epoch}/{name}": term.item() for name, term in model.batch_terms(batch).items()}
        configured = model.configure_optimizers()
        optimizer = configured["optimizer"] if isinstance(configured, dict) else configured
        return seen | {f"rate/{place}": group["lr"] for place, group in enumerate(optimizer.param_groups)}

    return behaviour


def test_every_number_has_an_effect_and_a_weight_doubles_terms(method, behave):
    values = numbers(method)
    once = behave(method, values)
    assert once == behave(method, values), "the terms change although no number does"
    for name, value in values.items():
        is_weight = WEIGHTS.search(name)
        found = behave(
            method, values | {name: 2 * value if is_weight else value / 2 if value >= 1 else (1 + value) / 2}
        )
        changed = {term for term in once if found[term] != once[term]}
        assert changed, f"{name} has no effect"
        if is_weight:  # between one and two times a sum of terms that are not negative, of which some are weighted
            assert all(once[term] < found[term] <= 2.00001 * once[term] for term in changed), name


# CTKD's curriculum acts on a gradient alone (test_ctkd), RID's phases need more epochs (test_rid).
ELSEWHERE = {"curriculum_epochs", "cycle_epochs"}


def test_every_whole_number_has_an_effect(method, behave):
    chosen = {"strong": "top"} if method is CAKD else {}  # `top` counts for nothing where the target alone is strong
    given = arguments(method)
    once = behave(method, chosen)
    for name, parameter in parameters(method).items():
        value = given.get(name, parameter.default)
        if not holds(parameter.annotation, int) or not isinstance(value, int) or name in ELSEWHERE:
            continue
        other = 0 if method is RID else value + 1
        assert behave(method, {**chosen, name: other}) != once, f"{name} has no effect"


def test_the_weights_of_methods_are_found():
    found = {f"{method.__name__}.{name}" for method in shipped() for name in numbers(method) if WEIGHTS.search(name)}
    named = {"TED.ted_weight", "VID.vid_weight", "RID.lambda1", "RID.lambda2", "RID.filter_mismatch_weight"}
    assert found > named | {"CAKD.alpha", "CAKD.beta", "DIST.gamma", "NKD.gamma", "GDKD.top_weight", "AB.kd_weight"}
