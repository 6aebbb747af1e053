"""A loss that is NaN or infinite stops a run, and its step can be computed again."""

import math
import re

import pytest
import torch
from lightning.pytorch import Callback

from kdlight.data.base.batch import Batch
from kdlight.errors import MissingFileError, UserError
from kdlight.methods.kd import KD
from kdlight.methods.rid import RID
from kdlight.methods.supervised import Supervised
from kdlight.runs.nonfinite import (
    STEPS_BEHIND,
    CopiedTerms,
    NonFiniteLossError,
    UncheckedTerms,
    has_finite_sum,
    replay,
)
from tests.methods.conftest import build
from tests.runs.conftest import STEPS, run


class Poison(Callback):
    """Makes one weight infinite before a step."""

    def __init__(self, step):
        self.step, self.weights = step, {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            with torch.no_grad():
                next(pl_module.student.parameters()).view(-1)[0] = math.inf
            self.weights = {name: value.clone() for name, value in pl_module.named_parameters()}


@pytest.mark.parametrize("method", [KD, RID])
def test_the_step_is_kept_and_gives_the_same_again(method, tmp_path):
    poison = Poison(STEPS + 1)
    ended = run(tmp_path, method, callbacks=[poison])
    assert isinstance(ended.stopped_by, NonFiniteLossError)
    message = str(ended.stopped_by)
    assert "step 1 of epoch 1: " in message
    assert "= nan" in message
    assert str(tmp_path / "nonfinite.pt") in message
    assert len(message.splitlines()) == 1
    assert ended.checkpoint["global_step"] == STEPS, "the last whole epoch stays"

    kept = torch.load(tmp_path / "nonfinite.pt", weights_only=True)
    assert (kept["epoch"], kept["step"]) == (1, 1)
    assert len(kept["batch"]["images"]) == len(kept["batch"]["index"]) == 50
    for name, value in poison.weights.items():
        assert torch.equal(kept["state_dict"][name], value), f"{name} is not as it was before the step"

    again = replay(tmp_path / "nonfinite.pt", build(method))
    assert again.keys() == kept["terms"].keys()
    for name, value in kept["terms"].items():
        assert again[name].item() == pytest.approx(value, nan_ok=True, rel=1e-6), name
    assert any(value.isnan() for value in again.values())


def test_a_damaged_file_is_not_replayed(tmp_path):
    path, weights = tmp_path / "nonfinite.pt", torch.ones(100)
    torch.save({"state_dict": {"weights": weights}}, path)
    content = bytearray(path.read_bytes())
    content[content.index(weights.numpy().tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"nonfinite\.pt is damaged: the bytes of its record \S+/data/0 do not match"):
        replay(path, build(Supervised))
    with pytest.raises(MissingFileError, match=r"no file .*gone\.pt: expected the nonfinite\.pt of a run"):
        replay(tmp_path / "gone.pt", build(Supervised))


@pytest.mark.parametrize("values", [(math.inf, -math.inf), (3e38, 3e38), (1.0, math.nan)])
def test_terms_that_cancel_or_overflow_stop_a_run(values, tmp_path, monkeypatch):
    def batch_terms(self, batch):
        return dict(zip(("one", "other"), torch.tensor(values, requires_grad=True), strict=True))

    monkeypatch.setattr(Supervised, "batch_terms", batch_terms)
    ended = run(tmp_path, Supervised, epochs=1)
    assert isinstance(ended.stopped_by, NonFiniteLossError)
    assert re.search(r"step 0 of epoch 0: one = .*other = ", str(ended.stopped_by))


def test_finite_terms_of_both_signs_are_finite():
    assert has_finite_sum(torch.tensor([1.0, -2.0, 3e38]))


def test_what_is_on_its_way_is_not_waited_for():
    """As on CUDA: terms that have not arrived are looked at later, but no more than a few steps."""

    class Arriving:
        waited = 0

        def query(self):
            return False

        def synchronize(self):
            self.waited += 1

    unchecked, batch = UncheckedTerms(), Batch(*[torch.zeros(1)] * 3)
    events = [Arriving() for _ in range(STEPS_BEHIND + 1)]
    for step, event in enumerate(events):
        unchecked.add(CopiedTerms(0, step, 0, ("one",), torch.ones(1), batch, event))
        taken = [each.step for each in unchecked.take(behind=STEPS_BEHIND)]
        assert taken == ([0] if step == STEPS_BEHIND else [])
    assert [event.waited for event in events] == [1] + [0] * STEPS_BEHIND
    assert [each.step for each in unchecked.take(behind=0)] == [1, 2, 3, 4]
    assert [event.waited for event in events] == [1] * (STEPS_BEHIND + 1)
