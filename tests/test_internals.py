"""Private names of libraries: each is there in the installed versions, and its absence is said by name."""

import ast
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch.nn.parallel import DistributedDataParallel

from kdlight import internals
from kdlight.internals import MissingInternalError

PACKAGE = Path(__file__).parents[1] / "kdlight"
# Names of Python, of kdlight, and one of dit, which a study calls and which fails by itself if it is gone.
OWN = {"_asdict", "_replace", "_fields", "_exit", "_made", "_refuse", "_splits", "_apply", "_measure"}
# Private by its name only: torch's notes on extending PyTorch tell users to import `TorchDispatchMode` from here.
DOCUMENTED = {"torch.utils._python_dispatch"}


@pytest.fixture
def trainer():
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)


def test_where_a_fit_stands(trainer):
    assert not internals.is_inside_epoch(trainer)
    trainer.fit_loop.epoch_progress.increment_started()
    assert internals.is_inside_epoch(trainer)
    assert not internals.is_resumed_mid_epoch(trainer)
    assert not internals.is_resumed_at_epoch_end(trainer)
    internals.set_epoch(trainer, 3)
    assert trainer.current_epoch == 3


def test_after_which_steps_a_validation_follows(trainer):
    trainer.val_check_batch = 2
    assert [internals.validates_after(trainer, step) for step in range(4)] == [False, True, False, True]
    trainer.val_check_batch = float("inf")
    assert not internals.validates_after(trainer, 1)


def test_how_many_batches_a_fit_has_seen(trainer):
    assert internals.count_batches(trainer) == 0
    trainer.fit_loop.epoch_loop.batch_progress.increment_ready()
    assert internals.count_batches(trainer) == 1


def test_what_wandb_would_be_sent_of_a_workspace():
    workspaces = pytest.importorskip("wandb_workspaces.workspaces")
    described = internals.describe_workspace(workspaces.Workspace(entity="me", project="mine", name="all"))
    assert described["displayName"] == "all"


def test_whether_torchvision_has_its_operators():
    from torchvision import extension

    assert internals.has_torchvision_operators(extension) == hasattr(extension.torch.ops.torchvision, "roi_align")


def test_a_restart_ends(trainer):
    trainer.fit_loop.restarting = True
    internals.end_restart(trainer)
    assert not trainer.fit_loop.restarting


def test_the_row_of_an_epoch(trainer, monkeypatch):
    logged = property(lambda connector: {"log": {"val/loss": torch.tensor(0.5)}})
    monkeypatch.setattr(type(trainer._logger_connector), "metrics", logged)
    trainer.fit_loop.epoch_loop._batches_that_stepped = 4
    assert internals.read_epoch_row(trainer) == {"val/loss": 0.5, "step": 3}


def test_a_stop_is_seen_by_lightning(trainer):
    assert not trainer.received_sigterm
    internals.stop_after_step(trainer)
    assert trainer.received_sigterm


def test_no_signal_is_shared(trainer):
    internals.stop_after_step(trainer)
    internals.share_no_signals(trainer)
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor()  # of Lightning, it would raise


def test_parameters_without_a_gradient_are_looked_for_under_ddp_alone():
    strategy = DDPStrategy()
    internals.find_unused_parameters(strategy)
    assert strategy._ddp_kwargs == {"find_unused_parameters": True}
    internals.find_unused_parameters(SingleDeviceStrategy())
    del strategy._ddp_kwargs
    with pytest.raises(MissingInternalError, match="DDPStrategy has no '_ddp_kwargs'"):
        internals.find_unused_parameters(strategy)


def test_what_ddp_leaves_alone(monkeypatch):
    module = torch.nn.BatchNorm1d(2)
    internals.ignore_under_ddp(module, ["running_mean"])
    assert module._ddp_params_and_buffers_to_ignore == ["running_mean"]
    monkeypatch.delattr(DistributedDataParallel, "_set_params_and_buffers_to_ignore_for_model")
    with pytest.raises(MissingInternalError, match="DistributedDataParallel has no '_set_params"):
        internals.ignore_under_ddp(module, [])


def test_changes_of_a_tensor_are_counted():
    tensor = torch.zeros(1)
    before = internals.read_version(tensor)
    assert internals.read_version(tensor.add_(1)) == before + 1


def test_the_options_of_a_parser():
    parser = ArgumentParser()
    parser.add_argument("--outer.inner", type=int)
    assert internals.list_options(parser) == {"help", "outer.inner"}
    assert "--outer.inner" in [name for action in internals.list_actions(parser) for name in action.option_strings]


def test_a_bar_draws_into_a_stream():
    bar, stream = RichProgressBar(), io.StringIO()
    internals.draw_progress_into(bar, stream)
    assert bar._console_kwargs["file"] is stream


def test_the_logger_of_wandb(tmp_path):
    pytest.importorskip("wandb")
    logger = WandbLogger(save_dir=tmp_path, log_model="all")  # connects to nothing before the run begins
    assert internals.take_wandb_artifacts(logger)
    assert not internals.take_wandb_artifacts(logger)
    internals.read_wandb_options(logger)["group"] = "seeds"
    assert logger._wandb_init["group"] == "seeds"
    finished = []
    logger._experiment = SimpleNamespace(finish=lambda: finished.append(True))
    internals.finish_wandb_run(logger)
    internals.finish_wandb_run(logger)
    assert finished == [True]


LOOP = {"check_val_every_n_epoch": None, "val_check_batch": 1}


@pytest.mark.parametrize(
    ("call", "owner", "name"),
    [
        (internals.is_inside_epoch, {"fit_loop": {}}, "epoch_progress"),
        (lambda owner: internals.validates_after(owner, 0), {**LOOP, "fit_loop": {}}, "total_batch_idx"),
        (internals.is_resumed_mid_epoch, {"fit_loop": {}}, "restarted_mid_epoch"),
        (internals.is_resumed_at_epoch_end, {"fit_loop": {}}, "resumed_on_epoch_end"),
        (lambda owner: internals.set_epoch(owner, 1), {"fit_loop": {"epoch_progress": {"current": {}}}}, "completed"),
        (internals.end_restart, {"fit_loop": {}}, "_restarting"),
        (internals.read_epoch_row, {}, "_logger_connector"),
        (lambda owner: internals.draw_progress_into(owner, None), {}, "_console_kwargs"),
        (internals.stop_after_step, {"_signal_connector": {}}, "received_sigterm"),
        (internals.share_no_signals, {"fit_loop": {"epoch_loop": {}}}, "_broadcast_sigterm_tensor"),
        (internals.count_batches, {"fit_loop": {}}, "total_batch_idx"),
        (internals.read_version, {}, "_version"),
        (internals.has_torchvision_operators, {}, "_has_ops"),
        (internals.describe_workspace, {}, "_to_model"),
        (internals.list_options, {}, "_actions"),
        (internals.read_wandb_options, {}, "_wandb_init"),
        (internals.take_wandb_artifacts, {}, "_log_model"),
        (internals.finish_wandb_run, {}, "_experiment"),
    ],
)
def test_a_name_that_is_gone_is_said(call, owner, name):
    def made(value):
        return SimpleNamespace(**{key: made(item) for key, item in value.items()}) if isinstance(value, dict) else value

    with pytest.raises(MissingInternalError, match=f"has no '{name}' in the installed version"):
        call(made(owner))


def test_no_other_file_touches_a_private_name():
    found = [
        f"{file.relative_to(PACKAGE)}:{node.lineno} {node.attr}"
        for file in PACKAGE.rglob("*.py")
        if file.name != "internals.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__")
        if node.attr not in OWN and not _is_own(node.value)
    ]
    assert not found


def test_no_other_file_imports_a_private_name():
    found = []
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            paths = (
                names if isinstance(node, ast.Import) else [f"{getattr(node, 'module', '')}.{name}" for name in names]
            )
            found += [f"{file.relative_to(PACKAGE)}: {path}" for path in paths if _is_private(path)]
    assert not found


def _is_private(path):
    parts = [part for part in path.split(".") if not part.endswith("__")]
    return any(part.startswith("_") for part in parts) and path.rpartition(".")[0] not in DOCUMENTED


def _is_own(owner):
    named = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
    return named or (isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super")
