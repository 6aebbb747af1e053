"""Which folder a run goes on in."""

from pathlib import Path

import pytest

from kdlight.errors import UserError
from kdlight.runs.folder import RunFolder, choose_folder, find_folder, find_latest


def saved(path, *names):
    for name in names:
        RunFolder(path).locate_checkpoint(name).parent.mkdir(parents=True, exist_ok=True)
        RunFolder(path).locate_checkpoint(name).touch()


def test_the_newest_run_with_the_checkpoint_is_gone_on_with(tmp_path):
    base = tmp_path / "kd"
    assert find_latest(base, "last").path == base
    saved(base, "last", "best")
    saved(tmp_path / "kd-2", "last")
    saved(tmp_path / "kd-old", "last")
    (tmp_path / "kd-3/checkpoints").mkdir(parents=True)
    assert find_latest(base, "last").path == tmp_path / "kd-2"
    assert find_latest(base, "best").path == base
    saved(tmp_path / "kd-10", "last")  # the runs between were removed
    assert find_latest(base, "last").path == tmp_path / "kd-10"


def test_the_run_of_a_checkpoint(tmp_path):
    saved(tmp_path / "kd", "last")
    checkpoint = RunFolder(tmp_path / "kd").locate_checkpoint("last")
    assert find_folder(checkpoint) is None
    RunFolder(tmp_path / "kd").config.touch()
    assert find_folder(checkpoint) == RunFolder(tmp_path / "kd")
    assert find_folder(Path("weights/last.ckpt")) is None


def test_how_a_run_is_logged_does_not_name_it():
    digits, wandb = "configs/digits/teacher.yaml", "configs/loggers/wandb.yaml"
    pair, protocol = "configs/pairs/wrn.yaml", "configs/data/published_protocol.yaml"
    assert choose_folder([digits, wandb]) == choose_folder([wandb, digits]) == Path("runs/digits/teacher")
    assert choose_folder([pair, "configs/methods/dkd.yaml", protocol]) == Path("runs/pairs/wrn+dkd")
    assert choose_folder([digits, "configs/data/cifar10.yaml"]) == Path("runs/digits/teacher+cifar10")
    assert choose_folder([wandb]) == choose_folder([]) == Path("runs/unnamed")


RESULT = {"test": {"last": {"accuracy": 0.5}}, "pid_test": {}, "seconds": 1.0}


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "3", "[" * 100_000, '{"test": {}}', "\\xff"])
def test_a_result_that_no_run_wrote_is_refused(content, tmp_path):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(UserError, match=r"result.json: expected a run's result, got a file without .*seconds"):
        RunFolder(tmp_path).read_result()
