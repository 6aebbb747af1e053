"""A run with everything that `kdlight fit` gives it, on a few digits, without the command line."""

import os
import signal
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch
import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from kdlight.methods.base.learner import Learner
from kdlight.methods.rid import RID
from kdlight.runs.fit import add_run_options
from kdlight.runs.folder import RunFolder
from kdlight.runs.nonfinite import NonFiniteLossError
from tests.methods.conftest import build, digits, shipped, trainer

MEASURED = ("seconds", "images_per_second")
STEPS = 4  # of an epoch


class Ended(NamedTuple):
    """What a run left."""

    method: Learner
    trainer: lightning.pytorch.Trainer
    folder: RunFolder
    stopped_by: BaseException | None

    @property
    def checkpoint(self):
        return torch.load(self.folder.locate_checkpoint("last"), weights_only=True)

    @property
    def rows(self):
        rows = self.folder.read_metrics()
        return {epoch: {key: row[key] for key in row if key not in MEASURED} for epoch, row in rows.items()}


def decay(optimizer):
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, [1], gamma=0.1)


def run(
    path, method, *, epochs=3, resume=None, callbacks=(), model=None, batch_size=50, eval_batch_size=256, **options
):
    """Train; a run that is stopped, or whose loss is not finite, comes back with the exception."""
    lightning.pytorch.seed_everything(0, verbose=False)
    folder, module = RunFolder(Path(path)), digits(augment=True, val_size=100)
    module.batch_size, module.eval_batch_size = batch_size, eval_batch_size
    given = {"enable_progress_bar": False, "callbacks": list(callbacks)}
    loop = trainer(path, epochs, **{**add_run_options(given, folder, module, config="model: {}"), **options})
    learner, stopped_by = build(method, **{"scheduler": decay, **(model or {})}), None
    checkpoint = folder.locate_checkpoint(resume) if resume else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few steps, folders that are not empty: the command line leaves these out
        try:
            loop.fit(learner, datamodule=module, ckpt_path=checkpoint, weights_only=True)
        except (SIGTERMException, NonFiniteLossError) as error:
            stopped_by = error
    return Ended(learner, loop, folder, stopped_by)


def killed(path, method, *, after_calls=None, **options):
    """Train in a process that is killed after so many calls of Python functions, or where a patch of the test does it.

    Returns:
        How many calls it came to, None if it was killed.
    """
    assert not torch.distributed.is_initialized(), "a process group does not survive a fork"
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # later Pythons warn of threads beside a fork
        process = os.fork()
    if process == 0:
        calls = 0

        def count(frame, event, argument):
            nonlocal calls
            calls += event == "call"
            if calls == after_calls:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count)
        try:
            run(path, method, **options)
            sys.setprofile(None)
            os.write(writer, str(calls).encode())
        finally:
            os._exit(0)
    os.close(writer)
    _, status = os.waitpid(process, 0)
    with os.fdopen(reader) as stream:
        said = stream.read()
    assert os.WIFSIGNALED(status) or said, "the run failed on its own"
    return int(said) if said else None


def assert_same(ended, whole):
    """Weights, rows of the log, optimizer, schedule and progress, bit for bit."""
    assert whole.rows.keys() == ended.rows.keys()
    for epoch, row in whole.rows.items():
        assert row == ended.rows[epoch], f"epoch {epoch}"
    expected = whole.method.state_dict()
    for name, value in ended.method.state_dict().items():
        assert torch.equal(value, expected[name]), name
    ours, theirs = ended.checkpoint, whole.checkpoint
    for part in ("loops", "lr_schedulers"):
        assert ours[part] == theirs[part], part
    for mine, other in zip(ours["optimizer_states"], theirs["optimizer_states"], strict=True):
        assert mine["param_groups"] == other["param_groups"]
        assert mine["state"].keys() == other["state"].keys()
        for key, state in mine["state"].items():
            assert torch.equal(state["momentum_buffer"], other["state"][key]["momentum_buffer"])


@pytest.fixture(scope="module")
def whole_rid(tmp_path_factory):
    """RID, uninterrupted: a phase an epoch."""
    return run(tmp_path_factory.mktemp("whole"), RID)


@pytest.fixture(params=shipped(), ids=lambda made: made.__name__)
def method(request):
    return request.param
