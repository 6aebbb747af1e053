"""Paths as they are given."""

import errno
from pathlib import Path

import pytest
from jsonargparse import Namespace

from kdlight.__main__ import main
from kdlight.files import DiskFullError, expand_home, parse_path, replace_file

ROOT = Path(__file__).parents[1]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return str(tmp_path / "home")


def test_the_home_folder_is_written_out_wherever_a_path_can_stand(home):
    config = Namespace(a=Namespace(b="~/x", c=[{"d": "~", "e": 3, "f": "a~/b"}]), g=None)
    assert expand_home(config).as_dict() == {
        "a": {"b": f"{home}/x", "c": [{"d": home, "e": 3, "f": "a~/b"}]},
        "g": None,
    }
    assert parse_path("~/x") == Path(home, "x")


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("trainer.default_root_dir", "default_root_dir: {}"),
        ("model.student_weights", "student_weights: {}"),
        ("model.teacher_weights", "teacher_weights: {}"),
        ("model.teacher_cache.path", "path: {}"),
        ("ckpt_path", "ckpt_path: {}"),
        ("trainer.logger.save_dir", "save_dir: {}"),
    ],
)
def test_every_option_of_a_path_knows_the_home_folder(option, line, home, capsys):
    logger = ["--trainer.logger=lightning.pytorch.loggers.CSVLogger", "--trainer.logger.name=null"]
    given = ["--config", str(ROOT / "configs/digits/kd.yaml"), *(logger if "logger" in option else [])]
    assert main(["fit", *given, f"--{option}=~/x", "--print_config"]) == 0
    assert line.format(f"{home}/x") in capsys.readouterr().out


def test_files_in_the_home_folder_are_read(home, capsys):
    Path(home).mkdir()
    Path(home, "fit.yaml").write_text("include: ['~/part.yaml']\ntrainer: ~/trainer.yaml\n")
    Path(home, "part.yaml").write_text("seed_everything: 5")
    Path(home, "trainer.yaml").write_text("max_epochs: 7")
    given = ["--config=~/fit.yaml", "--config", str(ROOT / "configs/digits/teacher.yaml")]
    assert main(["fit", *given, "--print_config"]) == 0
    assert "seed_everything: 5" in capsys.readouterr().out


def test_a_file_is_no_run(home, capsys):
    assert (
        main(["fit", "--config", str(ROOT / "configs/digits/teacher.yaml"), "--trainer.default_root_dir=/dev/null"])
        == 2
    )
    assert "/dev/null is a file: expected a folder for the run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EROFS, "read-only: .*table.csv .*name another folder"), (errno.ENOSPC, "full: .*table.csv .*free space")],
)
def test_a_file_that_can_not_be_written_is_named_and_the_advice_can_be_followed(number, said, tmp_path):
    def write():
        with replace_file(tmp_path / "table.csv"):
            raise OSError(number, "cannot")

    with pytest.raises(DiskFullError, match=said) as raised:
        write()
    assert "--ckpt_path" not in str(raised.value), "there is nothing to go on from"
    assert not list(tmp_path.iterdir())
