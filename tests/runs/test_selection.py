"""Which epoch is kept as the best."""

import shutil

import pytest
import torch

import kdlight
from kdlight.callbacks.pruning.optimal_brain_damage import OptimalBrainDamage
from kdlight.methods.supervised import Supervised
from kdlight.runs.folder import RunFolder
from kdlight.runs.selection import RunCheckpoint
from tests.methods.conftest import build, digits, trainer
from tests.runs.conftest import run


@pytest.fixture
def _worse(monkeypatch):
    """Every epoch is worse than the one before."""

    def validation_step(self, batch, batch_idx):
        self.log("val/accuracy", 1 / (1 + self.current_epoch))

    monkeypatch.setattr(Supervised, "validation_step", validation_step)


def kept_by(ended):
    return torch.load(ended.folder.locate_checkpoint("best"), weights_only=True)["epoch"]


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
    ended.folder.locate_checkpoint("best").unlink()
    assert kept_by(run(tmp_path, Supervised, epochs=2, resume="last")) == 1
    callback = RunCheckpoint(ended.folder, "gone", monitor="val/accuracy", mode="max")
    (state,) = (state for key, state in ended.checkpoint["callbacks"].items() if "val/accuracy" in key)
    with pytest.warns(match="gone.ckpt is missing: the best epoch is selected among the epochs from here on"):
        callback.load_state_dict(state)


PRUNING = {"first_epoch": 1, "sparsity": 0.5, "fraction": 0.3, "samples": 20}


def sparsity(student):
    """The fraction of zeros in matrices and convolutions."""
    weights = torch.cat([weight.flatten() for weight in student.parameters() if weight.ndim > 1])
    return (weights == 0).float().mean().item()


@pytest.mark.usefixtures("_worse")
def test_the_best_epoch_of_a_pruned_run_is_pruned(tmp_path):
    settings = {**PRUNING, "every_n_epochs": 1, "max_drop": None}
    prune = {"class_path": "kdlight.callbacks.OptimalBrainDamage", "init_args": settings}
    short = {"trainer.max_epochs": 5, "trainer.limit_train_batches": 2, "trainer.enable_progress_bar": False}
    prune = {
        "class_path": "kdlight.callbacks.OptimalBrainDamage",
        "init_args": {**PRUNING, "every_n_epochs": 1, "max_drop": None},
    }
    made = kdlight.fit("digits/pruning.yaml", {**short, "trainer.callbacks": [prune]}, folder=tmp_path / "run")
    # 30, 51 % … of the weights are deleted before epochs 1 and 2: the first epoch with half of them is 2.
    assert torch.load(made.files.locate_checkpoint("best"), weights_only=True)["epoch"] == 2
    assert sparsity(made.student()) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.usefixtures("_worse")
def test_a_run_that_ends_before_its_network_is_pruned_says_so(tmp_path):
    folder = RunFolder(tmp_path)
    callbacks = [OptimalBrainDamage(**PRUNING), RunCheckpoint(folder, "best", monitor="val/accuracy", mode="max")]
    loop = trainer(tmp_path, 2, callbacks=callbacks, enable_checkpointing=True)
    with pytest.warns(match="no best.ckpt is kept: OptimalBrainDamage had not finished .* after 2 epochs"):
        loop.fit(build(Supervised), datamodule=digits())
    assert not folder.locate_checkpoint("best").exists()
