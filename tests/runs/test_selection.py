"""Which epoch is kept as the best."""

import shutil

import pytest
import torch

from kdlight.methods.supervised import Supervised
from kdlight.runs.selection import RunCheckpoint
from tests.runs.conftest import run


@pytest.fixture
def _worse(monkeypatch):
    """Every epoch is worse than the one before."""

    def validation_step(self, batch, batch_idx):
        self.log("val/accuracy", 1 / (1 + self.current_epoch))

    monkeypatch.setattr(Supervised, "validation_step", validation_step)


def kept_by(ended):
    return torch.load(ended.folder.checkpoint("best"), weights_only=True)["epoch"]


@pytest.mark.usefixtures("_worse")
@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_run_that_lies_elsewhere_keeps_its_best_epoch(how, tmp_path):
    first = run(tmp_path / "first", Supervised, epochs=1)
    assert kept_by(first) == 0
    how(tmp_path / "first", tmp_path / "elsewhere")
    assert kept_by(run(tmp_path / "elsewhere", Supervised, epochs=2, resume="last")) == 0


@pytest.mark.usefixtures("_worse")
def test_a_best_epoch_that_was_not_copied_is_replaced(tmp_path):
    ended = run(tmp_path, Supervised, epochs=1)
    ended.folder.checkpoint("best").unlink()
    assert kept_by(run(tmp_path, Supervised, epochs=2, resume="last")) == 1
    callback = RunCheckpoint(ended.folder, "gone", monitor="val/accuracy", mode="max")
    (state,) = (state for key, state in ended.checkpoint["callbacks"].items() if "val/accuracy" in key)
    with pytest.warns(match="gone.ckpt is missing: the best epoch is selected among those that follow"):
        callback.load_state_dict(state)
