"""SIGTERM, Ctrl-C and SIGKILL: what a stopped run goes on from, and that it ends as if nothing had happened."""

import os
import random
import signal

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from kdlight.caching.teacher_cache import TeacherCache
from kdlight.callbacks.pruning.optimal_brain_damage import OptimalBrainDamage
from kdlight.methods.crd import CRD
from kdlight.methods.kd import KD
from kdlight.methods.rid import RID
from kdlight.methods.supervised import Supervised
from kdlight.runs.checkpoints import AtomicCheckpointIO
from kdlight.runs.metrics_csv import MetricsCSV
from kdlight.runs.signals import SignalHandler
from tests.runs.conftest import STEPS, assert_same, killed, run

RANDOM_POINTS = 5


class Signal(Callback):
    """Sends this process a signal before a step of the run; steps are counted from 0."""

    def __init__(self, step, number=signal.SIGTERM):
        self.step, self.number, self.seen = step, number, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen += batch.index.tolist()
        if trainer.fit_loop.total_batch_idx == self.step:
            os.kill(os.getpid(), self.number)


def stopped_and_resumed(path, method, step, **options):
    callback, after = Signal(step), Signal(-1)
    stopped = run(path, method, callbacks=[callback], **options)
    assert stopped.stopped_by is not None
    return stopped, run(path, method, resume="last", callbacks=[after], **options), callback.seen + after.seen


@pytest.mark.parametrize("step", [0, STEPS + 1, 2 * STEPS - 1])
def test_rid_goes_on_where_it_was(step, whole_rid, tmp_path):
    stopped, resumed, seen = stopped_and_resumed(tmp_path, RID, step)
    assert stopped.trainer.global_step == step + 1
    assert_same(resumed, whole_rid)
    for epoch in range(3):
        indices = seen[epoch * 200 : (epoch + 1) * 200]
        assert sorted(indices) == list(range(200)), "an image was seen twice or not at all"


def test_the_memory_of_crd_goes_on(tmp_path):
    _, resumed, _ = stopped_and_resumed(tmp_path / "stopped", CRD, STEPS + 1, epochs=2)
    assert_same(resumed, run(tmp_path / "whole", CRD, epochs=2))


def test_a_cached_teacher_goes_on(tmp_path):
    model = {"teacher_cache": TeacherCache(str(tmp_path / "cache"), views=2)}
    whole = run(tmp_path / "whole", KD, model=model)
    assert_same(stopped_and_resumed(tmp_path / "stopped", KD, STEPS + 1, model=model)[1], whole)


@pytest.mark.slow
def test_every_method_goes_on(method, tmp_path):
    whole = run(tmp_path / "whole", method)
    for step in (1, 2 * STEPS + 2):
        assert_same(stopped_and_resumed(tmp_path / f"stopped{step}", method, step)[1], whole)


def test_pruning_goes_on(tmp_path):
    def pruned(name, *callbacks, **options):
        prune = OptimalBrainDamage(first_epoch=1, sparsity=0.5)
        return run(tmp_path / name, Supervised, callbacks=[prune, *callbacks], **options)

    whole = pruned("whole")
    assert pruned("stopped", Signal(STEPS + 2)).stopped_by is not None
    assert_same(pruned("stopped", resume="last"), whole)


def test_no_gradient_is_lost_that_was_half_accumulated(tmp_path):
    options = {"epochs": 2, "accumulate_grad_batches": 3}  # the last step of an epoch has one batch
    stopped, resumed, _ = stopped_and_resumed(tmp_path / "stopped", KD, STEPS, **options)
    assert stopped.trainer.fit_loop.epoch_loop.batch_progress.current.ready == 3
    assert_same(resumed, run(tmp_path / "whole", KD, **options))


@pytest.mark.parametrize("options", [{}, {"val_check_interval": 2}])
@pytest.mark.parametrize("step", [STEPS - 1, STEPS + 1])
def test_a_validation_of_several_batches_is_completed(options, step, tmp_path):
    options = {"epochs": 2, "eval_batch_size": 30, **options}
    _, resumed, _ = stopped_and_resumed(tmp_path / "stopped", KD, step, **options)
    assert_same(resumed, run(tmp_path / "whole", KD, **options))


@pytest.mark.parametrize("step", [STEPS, STEPS + 1])
def test_a_validation_inside_the_epoch_is_neither_lost_nor_repeated(step, tmp_path):
    options = {"epochs": 2, "val_check_interval": 2}
    _, resumed, _ = stopped_and_resumed(tmp_path / "stopped", KD, step, **options)
    assert_same(resumed, run(tmp_path / "whole", KD, **options))


def test_ctrl_c_stops_after_the_step_and_the_second_one_at_once(tmp_path):
    class Second(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx == 2:
                handlers.append(signal.getsignal(signal.SIGINT))

    handlers, before = [], signal.getsignal(signal.SIGINT)
    try:
        ended = run(tmp_path, KD, callbacks=[Signal(2, signal.SIGINT), Second()])
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, before if number == signal.SIGINT else signal.SIG_DFL)
    assert handlers == [signal.SIG_DFL]
    (stops,) = (callback for callback in ended.trainer.callbacks if isinstance(callback, SignalHandler))
    assert stops.received == signal.SIGINT
    assert ended.trainer.global_step == 3


def test_a_run_that_ends_leaves_the_signals_as_they_were(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run(tmp_path, KD, epochs=1)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_long_epochs_keep_their_position_now_and_then(tmp_path, monkeypatch, whole_rid):
    class Kill(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_step == STEPS + 3:
                kill()

    monkeypatch.setitem(SignalHandler.__init__.__kwdefaults__, "every_seconds", 0.0)
    assert killed(tmp_path, RID, callbacks=[Kill()]) is None
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["global_step"] == STEPS + 3
    assert_same(run(tmp_path, RID, resume="last"), whole_rid)


def test_lightnings_checkpoints_every_n_steps_resume_as_well(tmp_path):
    class Kill(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_step == STEPS + 3:
                kill()

    every = {"dirpath": tmp_path / "run/checkpoints", "filename": "step", "enable_version_counter": False}
    callbacks = [ModelCheckpoint(every_n_train_steps=3, **every), Kill()]
    assert killed(tmp_path / "run", KD, callbacks=callbacks) is None
    assert torch.load(tmp_path / "run/checkpoints/step.ckpt", weights_only=True)["global_step"] == 6
    resumed = run(tmp_path / "run", KD, resume="step")
    assert_same(resumed, run(tmp_path / "whole", KD))


def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_checkpoint(monkeypatch):
    """Half of the second epoch's checkpoint is written."""

    def half(self, checkpoint, path, storage_options=None):
        if checkpoint["epoch"] == 1 and str(path).endswith("last.ckpt"):
            path = f"{path}.part"
            torch.save(checkpoint, path)
            os.truncate(path, os.path.getsize(path) // 2)
            kill()
        return whole(self, checkpoint, path, storage_options)

    whole = AtomicCheckpointIO.save_checkpoint
    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", half)


def before_the_row(monkeypatch):
    """The second epoch has its checkpoint, but its row is not in the log."""

    def save(self):
        if "train/loss" in self.rows.get(1, {}):
            kill()
        saved(self)

    saved = MetricsCSV.save
    monkeypatch.setattr(MetricsCSV, "save", save)


def before_the_validation(monkeypatch):
    """The second epoch has taken its last step."""
    monkeypatch.setattr(
        RID, "on_validation_epoch_start", lambda self: kill() if self.current_epoch == 1 else None, raising=False
    )


@pytest.mark.parametrize("place", [in_a_checkpoint, before_the_row, before_the_validation])
def test_a_run_killed_at_a_bad_moment(place, whole_rid, tmp_path):
    with pytest.MonkeyPatch.context() as monkeypatch:
        place(monkeypatch)
        assert killed(tmp_path, RID) is None
    ended = run(tmp_path, RID, resume="last")
    assert_same(ended, whole_rid)
    assert not list(tmp_path.rglob("*.part"))


def test_a_run_killed_at_random_points(whole_rid, tmp_path):
    """Any call of a Python function may be the last: data, steps, checkpoints, validation, the log."""
    calls = killed(tmp_path / "counted", RID)
    for point in random.Random(0).sample(range(calls), RANDOM_POINTS):
        path = tmp_path / str(point)
        assert killed(path, RID, after_calls=point) is None
        saved = (path / "checkpoints/last.ckpt").is_file()
        assert_same(run(path, RID, resume="last" if saved else None), whole_rid)


def test_the_selected_checkpoint_goes_on_as_well(whole_rid, tmp_path, monkeypatch):
    """It is written before the last one of its epoch."""
    saved = AtomicCheckpointIO.save_checkpoint
    monkeypatch.setattr(
        AtomicCheckpointIO,
        "save_checkpoint",
        lambda self, *given, **_: kill() if str(given[1]).endswith("last.ckpt") else saved(self, *given),
    )
    assert killed(tmp_path, RID) is None
    monkeypatch.undo()
    assert_same(run(tmp_path, RID, resume="best"), whole_rid)


def test_two_runs_with_one_seed_are_the_same(whole_rid, tmp_path):
    assert_same(run(tmp_path, RID), whole_rid)
