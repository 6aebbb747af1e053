"""The shipped configurations: found by name in any folder, listed, copied, and part of the wheel."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import torch
import yaml

import kdlight
from kdlight.__main__ import main
from kdlight.cli.build import build_experiment
from kdlight.cli.shipped import choose_configs, find_shipped_folder, list_shipped
from kdlight.errors import MissingFileError
from kdlight.runs.experiment import Experiment
from kdlight.runs.folder import RunFolder
from tests.data.image_sets import write_folder

ROOT = Path(__file__).parents[2]
QUICK = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def relative(files):
    return [Path(file).relative_to(find_shipped_folder()).as_posix() for file in files]


@pytest.mark.parametrize(
    ("given", "files", "names"),
    [
        (["digits/rid.yaml"], ["digits/rid.yaml"], ["digits/rid.yaml"]),
        (["configs/digits/rid.yaml"], ["digits/rid.yaml"], ["digits/rid.yaml"]),
        (["rid.yaml"], ["digits/rid.yaml"], ["digits/rid.yaml"]),
        (
            ["dkd.yaml"],
            ["data/digits.yaml", "trainers/digits.yaml", "digits/pair.yaml", "methods/dkd.yaml"],
            ["digits/dkd.yaml"],
        ),
        (
            ["pairs/resnet56-resnet20.yaml", "rid.yaml"],
            ["pairs/resnet56-resnet20.yaml", "methods/rid.yaml"],
            ["pairs/resnet56-resnet20.yaml", "methods/rid.yaml"],
        ),
    ],
)
def test_names_stand_for_shipped_files(given, files, names):
    chosen = choose_configs(given)
    assert (relative(chosen.files), chosen.names) == (files, names)
    assert len(chosen.said) == len(given), "a line says which files were taken"
    assert all(file in " ".join(chosen.said) for file in files)


def test_a_path_that_exists_is_taken(tmp_path):
    (tmp_path / "rid.yaml").write_text("trainer: {max_epochs: 1}")
    assert choose_configs(["rid.yaml"]) == (["rid.yaml"], ["rid.yaml"], [])


@pytest.mark.parametrize(("name", "near"), [("ridd.yaml", "rid.yaml"), ("digits/ridd.yaml", "digits/rid.yaml")])
def test_a_wrong_name_is_answered_by_the_nearest(name, near):
    with pytest.raises(MissingFileError, match=f"did you mean '{near}'"):
        choose_configs([name])


@pytest.fixture
def fits(monkeypatch):
    """The experiments that would be fitted; each leaves the checkpoints of one that was."""
    fitted = []

    def fit(self):
        fitted.append(self)
        for name in ("last", "best"):
            self.folder.checkpoints.mkdir(parents=True, exist_ok=True)
            torch.save({"state_dict": self.method.state_dict()}, self.folder.locate_checkpoint(name))
        self.folder.config.write_text(self.config)

    monkeypatch.setattr(Experiment, "fit", fit)
    return fitted


def test_a_missing_digits_teacher_is_trained_first(fits, caplog):
    with caplog.at_level("INFO"):
        experiment = build_experiment("fit", ["--config=dkd.yaml", *QUICK])
    assert [fitted.folder.path.as_posix() for fitted in fits] == ["runs/digits/teacher"]
    assert "training it first (kdlight fit --config configs/digits/teacher.yaml)" in caplog.text
    assert experiment.folder.path.as_posix() == "runs/digits/dkd"
    assert type(experiment.method).__name__ == "DKD"


def test_another_teacher_is_trained_where_it_is_asked_for(fits):
    options = ["--config=cifar10/kd.yaml", "--train_teacher", "--trainer.accelerator=cpu", *QUICK]
    with pytest.raises(MissingFileError, match="no checkpoint"):
        build_experiment("fit", [option for option in options if option != "--train_teacher"])
    assert not fits
    experiment = build_experiment("fit", options)
    assert [fitted.folder.path.as_posix() for fitted in fits] == ["runs/cifar10/teacher"]
    assert "train_teacher" not in experiment.config


def test_a_teacher_that_is_trained_first_finds_its_images_where_those_of_the_run_are(fits, tmp_path):
    write_folder(tmp_path / "mine", train=8, test=0)
    options = ["--config=photographs/kd.yaml", "--data.data_dir=mine/train", "--trainer.accelerator=cpu", *QUICK]
    with pytest.raises(
        MissingFileError, match=r"photographs/teacher.yaml --data.data_dir=mine/train, or add --train_t"
    ):
        build_experiment("fit", options)
    student = build_experiment("fit", [*options, "--train_teacher"])
    (teacher,) = fits
    assert student.data.image_size == teacher.data.image_size == 64, "as large as the images, not torchvision's 224"
    assert teacher.command == "kdlight fit --config photographs/teacher.yaml --data.data_dir=mine/train"
    assert str(teacher.data.data_dir) == "mine/train"


def test_a_reader_that_has_seen_enough_gets_no_traceback():
    command = f"{sys.executable} -m kdlight configs | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")


def test_they_are_listed_with_what_they_are_and_copied(tmp_path, capsys):
    assert main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list_shipped()
    (rid,) = [line for line in lines if line.startswith("digits/rid.yaml")]
    assert rid.endswith(
        "RID with the paper's phases, shortened: 4 epochs of warm-up, then cycles of 6 whose first 2 train the filters"
    )
    assert main(["configs", "--copy", "mine"]) == 0
    assert (tmp_path / "mine/digits/rid.yaml").read_text() == (ROOT / "configs/digits/rid.yaml").read_text()
    assert main(["configs", "--copy", "mine"]) == 2
    assert "expected a folder that is empty" in capsys.readouterr().err


@pytest.mark.slow
def test_the_wheel_runs_in_a_fresh_environment_outside_the_clone(tmp_path):
    """Its own files are the wheel's; torch and the others are seen where they are installed already."""
    source = tmp_path / "source"
    copied = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, subprocess.run(copied, capture_output=True, check=True, text=True).stdout.split("\0")):
        if not name.startswith(("tests/", "notebooks/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path)]
    subprocess.run([*pip, "wheel", *options, str(source)], check=True)
    (wheel,) = tmp_path.glob("kdlight-*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv/bin/python"
    paths = sysconfig.get_paths(vars={"base": str(tmp_path / "venv"), "platbase": str(tmp_path / "venv")})
    packages = Path(paths["purelib"])
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(packages), str(wheel)], check=True)
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    outside = tmp_path / "outside"
    outside.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command):
        done = subprocess.run(
            [python, *command], cwd=outside, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert str(packages) in run("-c", "import kdlight; print(kdlight.__file__)")
    assert run("-m", "kdlight", "configs").count("\n") == len(list_shipped())
    said = run("-m", "kdlight", "fit", "--config", "rid.yaml", "--trainer.max_epochs=8", *QUICK)
    assert "training it first" in said
    assert "test accuracy: " in said
    assert "the run is in runs/digits/rid" in said
    assert {path.name for path in outside.iterdir()} == {"runs"}
    (program,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.M | re.S)
    for written, shorter in {
        "max_epochs=10": "max_epochs=1",
        '"data.batch_size": 32': '"trainer.max_epochs": 1',
    }.items():
        assert written in program
        program = program.replace(written, shorter)
    grid = {"base": ["digits/kd.yaml"], "axes": {"model.temperature": [1, 4]}, "options": {"trainer.max_epochs": 1}}
    (outside / "GRID.yaml").write_text(yaml.safe_dump(grid))
    run("-c", f"{program}\nprint(run.folder)")
    assert RunFolder(outside / "runs/mine").result.is_file()
    assert len(list((outside / "runs/GRID").glob("*/seed=0/result.json"))) == 2
    assert kdlight.__file__ not in said
