"""What a checkpoint holds beyond Lightning's: the log, sums of an epoch, schedules that follow a metric."""

import pytest
import torch
from lightning.pytorch import Callback

from kdlight.callbacks.pid_monitor import PIDMonitor
from kdlight.methods.kd import KD
from kdlight.methods.supervised import Supervised
from kdlight.runs.resumed_epoch import SAVED
from tests.runs.conftest import STEPS, killed, run
from tests.runs.test_signals import Signal, kill


def plateau(optimizer):
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5, threshold=10.0)
    scheduler.monitor = "val/loss"  # as Lightning's command line does
    return scheduler


@pytest.mark.parametrize("step", [2 * STEPS, 2 * STEPS - 1])
def test_a_schedule_that_follows_a_metric_goes_on(step, tmp_path):
    options = {"model": {"scheduler": plateau}, "epochs": 4}
    whole = run(tmp_path / "whole", Supervised, **options)
    assert len({row["learning_rate"] for row in whole.rows.values()}) > 1
    run(tmp_path / "stopped", Supervised, callbacks=[Signal(step)], **options)
    resumed = run(tmp_path / "stopped", Supervised, resume="last", **options)
    assert resumed.rows == whole.rows
    assert resumed.checkpoint["lr_schedulers"] == whole.checkpoint["lr_schedulers"]


def test_an_epoch_is_not_gone_on_with_in_other_steps(tmp_path):
    run(tmp_path, KD, callbacks=[Signal(STEPS)])
    with pytest.raises(ValueError, match="inside epoch 1, which had 4 steps, but an epoch now has 8"):
        run(tmp_path, KD, resume="last", batch_size=25)


def test_an_epoch_is_not_gone_on_with_by_another_number_of_processes(tmp_path):
    ended = run(tmp_path, KD, callbacks=[Signal(STEPS)])
    checkpoint = ended.checkpoint
    checkpoint[SAVED]["processes"] *= 2
    torch.save(checkpoint, ended.folder.locate_checkpoint("last"))
    with pytest.raises(ValueError, match=r"expected the same number, got 1; go on with --trainer.devices 2"):
        run(tmp_path, KD, resume="last")


def test_a_checkpoint_of_something_else_is_not_gone_on_with(tmp_path):
    ended = run(tmp_path, KD, epochs=1)
    foreign = {key: value for key, value in ended.checkpoint.items() if key != SAVED}
    torch.save(foreign, ended.folder.locate_checkpoint("last"))
    with pytest.raises(ValueError, match="begin a new run with its weights instead"):
        run(tmp_path, KD, resume="last")


def test_pid_on_the_test_set_is_measured_after_a_kill_behind_the_last_epoch(tmp_path):
    class Kill(Callback):
        def on_train_end(self, trainer, pl_module):
            kill()

    options = {"epochs": 1}
    measured = {"clusters": 2, "stages": ["logits"], "fit_samples": 100, "every_n_epochs": 5}
    assert killed(tmp_path, KD, callbacks=[Kill(), PIDMonitor(**measured)], **options) is None
    resumed, whole = PIDMonitor(**measured), PIDMonitor(**measured)
    run(tmp_path, KD, callbacks=[resumed], resume="last", **options)
    run(tmp_path / "whole", KD, callbacks=[whole], **options)
    assert resumed.test
    assert resumed.test == whole.test
