"""What Lightning's trainer would fail on, wait for or leave out is said before a run begins."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from kdlight.__main__ import main
from kdlight.errors import UserError
from kdlight.runs.trainer import make_trainer, report_schedule_length

ROOT = Path(__file__).parents[2]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.callbacks=null"]
TINY = ["fit", "--config", str(ROOT / "configs/digits/teacher.yaml"), "--data.train_per_class=2", *QUIET]
BARE = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
SCHEDULERS = "torch.optim.lr_scheduler"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kdlight"])


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        ("num_nodes", 0, "trainer.num_nodes: expected a number greater than or equal to 1, got 0"),
        ("accumulate_grad_batches", 0, "accumulate_grad_batches"),
        ("check_val_every_n_epoch", 0, "check_val_every_n_epoch"),
        ("val_check_interval", 0, "val_check_interval: expected a number greater than 0"),
        ("gradient_clip_val", float("nan"), "gradient_clip_val: expected a number that is finite, got nan"),
        ("limit_train_batches", -1, "limit_train_batches"),
        ("max_epochs", 10**20, "max_epochs"),
        ("strategy", "foo", "invalid strategy name: `strategy='foo'`"),
        ("accelerator", "foo", "invalid accelerator name: `accelerator='foo'`"),
        ("devices", -1, "`devices`"),
        ("min_epochs", -1, "min_epochs"),
    ],
)
def test_arguments_that_lightning_fails_on_later(name, value, answer):
    make_trainer(BARE)
    with pytest.raises(UserError) as refused:
        make_trainer({**BARE, name: value})
    assert answer in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_machine_alone_does_not_wait_for_others(monkeypatch):
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "NODE_RANK": "0"}
    for name in told:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="num_nodes 2: expected a process on each machine"):
        make_trainer({**BARE, "num_nodes": 2})
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert make_trainer({**BARE, "num_nodes": 2, "strategy": "ddp"}).num_nodes == 2


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (["--trainer.max_epochs=0"], "trainer.max_epochs: expected more than 0"),
        (["--trainer.max_steps=0"], "trainer.max_steps"),
        (["--trainer.limit_train_batches=0"], "trainer.limit_train_batches"),
        (["--trainer.limit_test_batches=0"], "the run would end without a result"),
        (["--data.val_size=1436", "--data.train_per_class=null"], "the training set has 1 images"),
        (["--trainer.max_time=00:00:00:00"], "before its first step"),
        (["--trainer.val_check_interval=100"], "the steps of an epoch, got 100"),
        ([f"--model.scheduler={SCHEDULERS}.CosineAnnealingLR", "--model.scheduler.T_max=0"], "model.scheduler: "),
        ([f"--model.scheduler={SCHEDULERS}.StepLR", "--model.scheduler.step_size=0"], "model.scheduler: "),
        (["--model.student.num_classes=7"], "model.student.num_classes: expected 10"),
        (["--model.student.num_classes=-1"], "1 or more, got -1"),
        (
            [
                "--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping",
                "--trainer.callbacks.monitor=val/loss",
                "--trainer.callbacks.mode=foo",
            ],
            "EarlyStopping: `mode` can be min, max, got foo",
        ),
        (
            ["--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping", "--trainer.callbacks.monitor=val/foo"],
            "`val/foo` which is not available",
        ),
    ],
)
def test_a_run_that_cannot_come_to_a_result(options, answer, capsys):
    assert main([*TINY, "--trainer.max_epochs=1", *options]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("kdlight: ")]
    assert answer in line
    assert not list(Path.cwd().glob("runs/**/result.json"))


def test_a_run_without_validation_selects_nothing_and_is_tested(capsys):
    assert main([*TINY, "--trainer.max_epochs=1", "--trainer.limit_val_batches=0"]) == 0
    assert "could not find the monitored key" not in capsys.readouterr().err
    assert [file.name for file in Path.cwd().glob("runs/**/*.ckpt")] == ["last.ckpt"]


@pytest.mark.parametrize(
    ("t_max", "epochs", "said"),
    [(30, 4, "does not fall to its lowest value"), (2, 4, "rises again after it"), (4, 4, None), (30, -1, None)],
)
def test_a_schedule_of_another_length_is_said(t_max, epochs, said, caplog):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, t_max)
    config = SimpleNamespace(scheduler=cosine, interval="epoch")
    with caplog.at_level("INFO"):
        report_schedule_length(SimpleNamespace(max_epochs=epochs, lr_scheduler_configs=[config]))
    assert [record.message for record in caplog.records if "T_max" in record.message] == (
        [] if said is None else [
            f"the run has {epochs} epochs, but the schedule's T_max is {t_max}, so the learning rate {said}; to change "
            f"this: model.scheduler.T_max={epochs}"
        ]
    )  # fmt: skip
