"""A run goes on with the configuration that it began with, or says what differs."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from lightning.pytorch import Callback

from kdlight.__main__ import main
from kdlight.errors import UserError
from kdlight.runs.changes import find_differences, require_unchanged
from kdlight.runs.folder import RunFolder

ROOT = Path(__file__).parents[2]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.logger=false"]
TINY = ["--data.train_per_class=5", "--data.batch_size=25", "--trainer.callbacks=null", *QUIET]
CONFIG = {
    "seed_everything": 0,
    "trainer": {"max_epochs": 3, "devices": 1, "precision": "32", "callbacks": None},
    "data": {"class_path": "D", "init_args": {"val_size": 5, "batch_size": 2, "data_dir": "here"}},
    "model": {
        "class_path": "kdlight.methods.KD",
        "init_args": {
            "temperature": 4.0,
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}},
            "teacher_weights": "a.ckpt",
        },
    },
}
MONITOR = {"class_path": "kdlight.callbacks.PIDMonitor", "init_args": {"clusters": 3}}
PRUNING = {"class_path": "kdlight.callbacks.OptimalBrainDamage", "init_args": {"sparsity": 0.5}}


class Watcher(Callback):
    """A callback of a user that does not influence training."""

    only_observes = True


class Meddler(Callback):
    """A callback of a user that may influence training."""


def changed(key, value):
    """`CONFIG` with another value, as YAML."""
    config = json.loads(json.dumps(CONFIG))
    *parents, last = key.split(".")
    inner = config
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return yaml.safe_dump(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainer.max_epochs", 5),
        ("trainer.devices", 2),
        ("trainer.strategy", {"class_path": "lightning.pytorch.strategies.DDPStrategy"}),
        ("trainer.callbacks", [MONITOR, {"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"}]),
        ("trainer.callbacks", [{"class_path": f"{__name__}.Watcher"}]),
        ("trainer.logger", True),
        ("trainer.absent", None),
        ("data.init_args.data_dir", "there"),
        ("data.init_args.num_workers", 3),
        ("model.init_args.teacher_weights", "moved.ckpt"),
        ("model.init_args.compile", True),
    ],
)
def test_what_may_change(key, value):
    assert not find_differences(yaml.safe_dump(CONFIG), changed(key, value))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("seed_everything", 1, "seed_everything was 0, is now 1"),
        ("trainer.precision", "bf16-mixed", "trainer.precision was '32', is now 'bf16-mixed'"),
        ("trainer.gradient_clip_val", 1.0, "trainer.gradient_clip_val was None, is now 1.0"),
        ("trainer.callbacks", [MONITOR, PRUNING], "callbacks.0.class_path was None, is now 'kdlight.callbacks.Optimal"),
        ("trainer.callbacks", [{"class_path": "lightning.pytorch.callbacks.StochasticWeightAveraging"}], "Stochastic"),
        ("trainer.callbacks", [{"class_path": f"{__name__}.Meddler"}], "Meddler"),
        ("trainer.callbacks", [{"class_path": "a_package_that_is_gone.Watcher"}], "a_package_that_is_gone"),
        ("data.init_args.val_size", 4, "data.init_args.val_size was 5, is now 4"),
        ("data.init_args.batch_size", 3, "data.init_args.batch_size was 2, is now 3"),
        ("model.init_args.temperature", 2.0, "model.init_args.temperature was 4.0, is now 2.0"),
        (
            "model.class_path",
            "kdlight.methods.DKD",
            "model.class_path was 'kdlight.methods.KD', is now 'kdlight.methods.D",
        ),
    ],
)
def test_what_may_change_on_purpose_alone(key, value, said):
    before, now = yaml.safe_dump(CONFIG), changed(key, value)
    with pytest.raises(UserError, match="--resume_changed true") as raised:
        require_unchanged(before, now, "runs/kd", on_purpose=False)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 3
    require_unchanged(before, now, "runs/kd", on_purpose=True)


def test_of_another_class_only_the_name_is_said():
    other = {"class_path": "kdlight.methods.FitNet", "init_args": {"feature_weight": 1.0}}
    assert list(find_differences(yaml.safe_dump(CONFIG), changed("model", other))) == ["model.class_path"]


@pytest.mark.parametrize("on_purpose", [False, True])
def test_what_a_checkpoint_restores_can_not_change(on_purpose):
    other = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.3}}
    with pytest.raises(UserError, match=r"optimizer.init_args.lr was 0.1, is now 0.3: .*--model.student_weights"):
        require_unchanged(
            yaml.safe_dump(CONFIG), changed("model.init_args.optimizer", other), "r", on_purpose=on_purpose
        )


def fit(*options):
    return main(["fit", "--config", str(ROOT / "configs/digits/teacher.yaml"), *TINY, *options])


def test_a_command_that_starts_goes_on_and_has_finished(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kdlight"])
    run = RunFolder(Path("runs/digits/teacher"))
    run.path.mkdir(parents=True)  # a start that was killed before its first checkpoint
    assert fit("--ckpt_path=auto", "--trainer.max_epochs=1") == 0
    assert run.read_result()["epochs"] == 1
    began = run.config.read_text()
    assert "ckpt_path: null" in began

    ended = run.result.stat().st_mtime_ns
    assert fit("--ckpt_path=auto", "--trainer.max_epochs=1") == 0
    assert run.result.stat().st_mtime_ns == ended, "a finished run is left alone"

    capsys.readouterr()
    for checkpoint in ("auto", "last"):
        assert fit(f"--ckpt_path={checkpoint}", "--trainer.max_epochs=2", "--seed_everything=1") == 2
        assert (
            "seed_everything was 0, is now 1: expected the configuration that the run in runs/digits/teacher"
            in capsys.readouterr().err
        )
    assert run.config.read_text() == began
    assert fit("--ckpt_path=auto", "--trainer.max_epochs=2", "--seed_everything=1", "--resume_changed=true") == 0
    assert run.read_result()["epochs"] == 2
    assert run.locate_earlier_config(1).read_text() == began
    assert "seed_everything: 1" in run.config.read_text()
    assert "resume_changed: false" in run.config.read_text()
    assert [path.name for path in run.path.parent.iterdir()] == ["teacher"]


def test_a_folder_that_holds_something_else_is_not_taken(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("home").mkdir()
    Path("home/letter.txt").touch()
    assert fit("--ckpt_path=auto", "--trainer.default_root_dir=home") == 2
    assert "home holds no run" in capsys.readouterr().err
