"""A run that is told to stop outside its steps: before the first one, after the last one, in the final tests."""

import os
import signal
import warnings

import lightning.pytorch
import pytest
from lightning.pytorch import Callback

from kdlight.methods.supervised import Supervised
from kdlight.runs.experiment import Experiment
from kdlight.runs.folder import RunFolder
from tests.methods.conftest import build, digits

SIGNALS = (signal.SIGINT, signal.SIGTERM)
EPOCHS = 2


class SignalAt(Callback):
    """Sends this process a signal, once, when a hook is called after the last step or before the first one."""

    def __init__(self, hook, number):
        self.steps = 0
        self.number = number
        setattr(self, hook, self.send)

    def on_train_batch_end(self, trainer, *args):
        self.steps += 1

    def send(self, trainer, *args, **kwargs):
        if self.number is not None and trainer.global_step in (0, EPOCHS * 4) and not trainer.sanity_checking:
            number, self.number = self.number, None
            os.kill(os.getpid(), number)


def fit(folder, *callbacks, resume=False):
    lightning.pytorch.seed_everything(0, verbose=False)
    options = {
        "max_epochs": EPOCHS, "accelerator": "cpu", "devices": 1, "logger": False, "callbacks": list(callbacks),
        "enable_progress_bar": False, "enable_model_summary": False,
    }  # fmt: skip
    data = digits(augment=True, val_size=100)
    data.batch_size = 50
    checkpoint = str(folder.locate_checkpoint("last")) if resume else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Experiment(build(Supervised), data, folder, options, "model: {}", checkpoint).fit()


def stopped(folder, hook, number):
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit) as raised:
        fit(folder, SignalAt(hook, number))
    assert [signal.getsignal(each) for each in SIGNALS] == before
    if number == signal.SIGTERM:
        assert raised.value.code == 143
    assert not folder.result.exists()


@pytest.mark.parametrize(
    ("hook", "number"),
    [
        ("on_validation_batch_start", signal.SIGTERM),
        ("on_train_epoch_end", signal.SIGINT),
        ("on_train_end", signal.SIGTERM),
        ("on_fit_end", signal.SIGTERM),
        ("on_test_start", signal.SIGTERM),
        ("on_test_batch_start", signal.SIGINT),
        ("on_test_end", signal.SIGTERM),
    ],
)
def test_after_the_last_step_a_signal_leaves_only_the_tests_to_do(hook, number, tmp_path, capsys):
    folder = RunFolder(tmp_path)
    stopped(folder, hook, number)
    assert "kdlight: stopped; only the tests are left, go on with" in capsys.readouterr().err
    rows, resumed = folder.read_metrics(), SignalAt("on_test_start", None)
    assert list(rows) == list(range(EPOCHS))
    fit(folder, resumed, resume=True)
    assert resumed.steps == 0
    assert folder.read_metrics() == rows
    assert set(folder.read_result()["test"]) == {"last", "best"}


@pytest.mark.parametrize("hook", ["on_fit_start", "on_train_start"])
def test_before_the_first_step_a_signal_stops_the_run(hook, tmp_path):
    folder = RunFolder(tmp_path)
    stopped(folder, hook, signal.SIGTERM)
    assert not folder.metrics.exists()
