"""What a run hands to loggers, and what it takes from callbacks."""

import json
import math
from unittest import mock

import lightning.pytorch
import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import Logger

from kdlight.errors import UserError
from kdlight.methods.kd import KD
from kdlight.methods.supervised import Supervised
from kdlight.runs.fit import add_run_options, fit_and_test
from kdlight.runs.folder import RunFolder
from kdlight.runs.result import collect_results, format_json
from tests.methods.conftest import build, digits, trainer


class Kept(Logger):
    """Keeps what it is given."""

    name, version = "kept", ""

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_hyperparams(self, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        self.rows.append(dict(metrics))


def test_the_tests_of_the_last_and_of_the_selected_weights_have_a_name_each(tmp_path):
    lightning.pytorch.seed_everything(0, verbose=False)
    folder, module, kept = RunFolder(tmp_path), digits(augment=True, val_size=100), Kept()
    given = {"enable_progress_bar": False, "logger": [kept]}
    loop = trainer(tmp_path, 1, **add_run_options(given, folder, module, config="model: {}"))
    fit_and_test(loop, build(Supervised), module, folder)
    result = folder.read_result()
    logged = [(name, value) for row in kept.rows for name, value in row.items() if name.startswith("test")]
    assert len(logged) == len(dict(logged))
    assert dict(logged)["test_last/accuracy"] == result["test"]["last"]["accuracy"]
    assert dict(logged)["test_selected/accuracy"] == result["test"]["best"]["accuracy"]
    assert not any(name.startswith("test") for row in folder.read_metrics().values() for name in row)


@pytest.mark.parametrize("container", [list, tuple])
def test_callbacks_and_loggers_may_be_in_a_list_or_a_tuple(tmp_path, container):
    callback, logger = Callback(), Kept()
    given = {"callbacks": container([callback]), "logger": container([logger])}
    options = add_run_options(given, RunFolder(tmp_path), digits(), config=None)
    assert callback in options["callbacks"]
    assert options["logger"] == [logger]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"callbacks": [Callback]},
            r"trainer.callbacks: expected objects .* got <class .*; write Callback\(…\)",
        ),
        ({"callbacks": "early_stopping"}, "trainer.callbacks: expected objects of the class Callback, got 'early_stop"),
        ({"logger": [Callback()]}, "trainer.logger: expected objects of the class Logger, got <light"),
    ],
)
def test_what_is_no_callback_or_logger_is_refused(tmp_path, given, said):
    with pytest.raises(UserError, match=said):
        add_run_options(given, RunFolder(tmp_path), digits(), config=None)


class FailsInTheTest(Callback):
    def on_test_start(self, trainer, pl_module):
        raise RuntimeError("the test fails")


def test_loggers_are_closed_if_the_test_fails(tmp_path):
    logger = Kept()
    module = digits(val_size=400)
    given = {"enable_progress_bar": False, "logger": [logger], "callbacks": [FailsInTheTest()]}
    loop = trainer(tmp_path, 1, **add_run_options(given, RunFolder(tmp_path), module, config="model: {}"))
    with (
        mock.patch("kdlight.runs.fit.finish_wandb") as finish,
        pytest.raises(RuntimeError, match="the test fails"),
    ):
        fit_and_test(loop, build(KD), module, RunFolder(tmp_path))
    (loggers,) = finish.call_args.args
    assert logger in loggers


class Adds(Callback):
    def __init__(self, **entries):
        self.entries = entries

    def collect_result(self):
        return self.entries


def test_entries_of_callbacks_are_merged_and_converted():
    found = collect_results(
        [
            Adds(norms={"a": torch.tensor(1.5)}, rows=np.arange(3), lost=math.nan),
            Callback(),
            Adds(norms={"b": np.float32(2)}, pair=(1, "x")),
        ]
    )
    assert found == {"norms": {"a": 1.5, "b": 2.0}, "rows": [0, 1, 2], "lost": None, "pair": [1, "x"]}
    assert json.loads(format_json(found)) == found


@pytest.mark.parametrize(
    ("callbacks", "kept", "said"),
    [
        ([Adds(test=1, other=2)], {"other": 2}, "Adds: the result has no entry 'test' of this callback: another entry"),
        ([Adds(norm=1), Adds(norm={"a": 1})], {"norm": 1}, "no entry 'norm' of this callback: another entry has this"),
        ([Adds(odd={1, 2}, fine=1)], {"fine": 1}, "no entry 'odd' .* JSON cannot hold an object of the class set"),
    ],
)
def test_an_entry_that_cannot_be_written_does_not_cost_the_result(callbacks, kept, said):
    with pytest.warns(UserWarning, match=said):
        assert collect_results(callbacks, taken={"test"}) == kept
