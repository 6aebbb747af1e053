"""`kdlight fit` from the outside: what a run leaves behind, resumed runs, several processes, reduced precision."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
TINY = ["--data.train_per_class=20", "--data.batch_size=50", "--trainer.enable_progress_bar=false"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def kdlight(folder, *arguments, check=True):
    done = subprocess.run(
        [sys.executable, "-m", "kdlight", *arguments],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if check:
        assert done.returncode == 0, done.stderr
    return done


def fit(folder, name, *options, check=True):
    return kdlight(folder, "fit", "--config", str(ROOT / f"configs/digits/{name}.yaml"), *TINY, *options, check=check)


def rows(run):
    with (run / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def student(checkpoint):
    return torch.load(checkpoint, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a trained teacher in it."""
    folder = tmp_path_factory.mktemp("workplace")
    fit(folder, "teacher", "--trainer.max_epochs=4")
    return folder


def test_rid_runs_as_shipped_and_leaves_everything_behind(workplace):
    done = fit(workplace, "rid", "--trainer.max_epochs=8")
    assert "Warning" not in done.stderr + done.stdout
    assert "Total FLOPs: 0" not in done.stderr + done.stdout, "the summary runs the student on an example"
    run = workplace / "runs/digits/rid"
    result = json.loads((run / "result.json").read_text())
    assert result["method"] == "RID"
    assert set(result["test"]) == {"last", "best"}
    assert len(result["teacher_sha256"]) == 64
    assert result["epochs"] == 8
    assert result["images_per_second"] > 0
    assert [row["epoch"] for row in rows(run)] == [str(epoch) for epoch in range(8)]

    measured = [row for row in rows(run) if row["pid/stage3/label_entropy"]]
    assert [row["epoch"] for row in measured] == [str(epoch) for epoch in range(8)]  # ten times, were there as many
    assert not [key for key in measured[0] if key.startswith(("pid/stage1/", "pid_test"))]
    for stage in ("stage3", "logits"):
        assert len({row[f"pid/{stage}/information_teacher"] for row in measured}) == 1
        for row in measured:
            atoms = {name: row.get(f"pid/{stage}/{name}", "") for name in ATOMS}
            for source in ("teacher", "student"):
                parts = atoms["redundant"], atoms[f"unique_{source}"]
                if all(parts):  # few images may not tell
                    information = float(row[f"pid/{stage}/information_{source}"])
                    assert sum(map(float, parts)) == pytest.approx(information, abs=1e-6)
        assert result["pid_test"][stage]["label_entropy"] > 3
    assert result["pid_settings"]["label"]["repeats"] == 5

    config = (run / "config.yaml").read_text()
    assert "num_classes: 10" in config
    for checkpoint in ("last", "best"):
        assert not [name for name in student(run / f"checkpoints/{checkpoint}.ckpt") if name.startswith("teacher.")]


ATOMS = ("redundant", "unique_teacher", "unique_student", "synergistic")


def test_a_second_run_gets_a_neighbour(workplace):
    for seed in (0, 1):
        fit(workplace, "kd", "--trainer.max_epochs=1", "--trainer.callbacks=null", f"--seed_everything={seed}")
    assert (workplace / "runs/digits/kd-2/result.json").is_file()
    (workplace / "runs/digits/kd-3/checkpoints").mkdir(parents=True)  # a start that was refused
    for name in ("kd", "kd-2"):
        expected = json.loads((workplace / f"runs/digits/{name}/result.json").read_text())["test"]["best"]["loss"]
        config = str(workplace / f"runs/digits/{name}/config.yaml")
        done = kdlight(workplace, "test", "--config", config, "--ckpt_path=best", "--trainer.enable_progress_bar=false")
        assert f"measuring runs/digits/{name}/checkpoints/best.ckpt" in done.stderr
        assert len(done.stdout.splitlines()) == 2
        assert f"loss {expected:.4f}" in done.stdout
        tested = json.loads((workplace / f"runs/digits/{name}/test.json").read_text())
        assert tested["test"]["loss"] == pytest.approx(expected)
    table = kdlight(workplace, "compare", "runs/digits/kd", "runs/digits/kd-2").stdout
    rows_of_seeds = [line.split()[:2] for line in table.splitlines() if line.startswith("kd")]
    assert rows_of_seeds == [["kd", "2"]], "runs that differ in their seed alone are one row"


def test_measuring_a_checkpoint(workplace):
    config = str(workplace / "runs/digits/teacher/config.yaml")
    expected = json.loads((workplace / "runs/digits/teacher/result.json").read_text())["test"]["best"]["accuracy"]
    done = kdlight(workplace, "test", "--config", config, "--ckpt_path=best", "--trainer.enable_progress_bar=false")
    assert f"test accuracy {100 * expected:.2f} %" in done.stdout
    kdlight(workplace, "validate", "--config", config, "--ckpt_path=last", "--trainer.enable_progress_bar=false")
    kdlight(workplace, "predict", "--config", config, "--ckpt_path=best", "--trainer.enable_progress_bar=false")
    with (workplace / "runs/digits/teacher/predictions.csv").open() as stream:
        predictions = list(csv.DictReader(stream))
    right = sum(row["target"] == row["prediction"] for row in predictions)
    assert right / len(predictions) == pytest.approx(expected)


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(workplace):
    options = ["--trainer.max_epochs=12", "--trainer.callbacks=null"]
    whole = fit(workplace, "rid", *options, "--trainer.default_root_dir=runs/whole")
    assert whole.returncode == 0
    run = workplace / "runs/killed"
    arguments = [*TINY, *options, "--trainer.default_root_dir=runs/killed"]
    command = [sys.executable, "-m", "kdlight", "fit", "--config", str(ROOT / "configs/digits/rid.yaml"), *arguments]
    process = subprocess.Popen(command, cwd=workplace, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    while not (run / "metrics.csv").is_file() or len(rows(run)) < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.communicate()
    completed = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch"] + 1
    assert completed < 12
    fit(workplace, "rid", *options, "--trainer.default_root_dir=runs/killed", "--ckpt_path=last")
    assert [int(row["epoch"]) for row in rows(run)] == list(range(12))
    expected = student(workplace / "runs/whole/checkpoints/last.ckpt")
    for name, value in student(run / "checkpoints/last.ckpt").items():
        assert torch.equal(value, expected[name]), name
    untouched = rows(workplace / "runs/whole")[:completed]
    assert [row["train/loss"] for row in rows(run)[:completed]] == [row["train/loss"] for row in untouched]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_says_how_to_go_on(workplace, sent, code):
    run = workplace / f"runs/stopped{code}"
    options = [*TINY, "--trainer.max_epochs=500", "--trainer.callbacks=null", f"--trainer.default_root_dir={run}"]
    command = [sys.executable, "-m", "kdlight", "fit", "--config", str(ROOT / "configs/digits/kd.yaml"), *options]
    process = subprocess.Popen(
        command, cwd=workplace, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not (run / "metrics.csv").is_file() or len(rows(run)) < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "--ckpt_path last" in errors
    assert "Traceback" not in errors
    assert torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch"] >= 1


def test_print_config_prints_the_resolved_whole(workplace):
    printed = fit(workplace, "rid", "--trainer.max_epochs=7", "--print_config").stdout
    for line in ("max_epochs: 7", "class_path: kdlight.methods.RID", "num_classes: 10", "lambda2:"):
        assert line in printed


def test_two_processes_and_reduced_precision(workplace):
    fit(
        workplace, "rid", "--trainer.max_epochs=3", "--model.warmup_epochs=1", "--model.cycle_epochs=2",
        "--model.filter_ratio=0.5",
        "--trainer.strategy=ddp", "--trainer.devices=2", "--trainer.precision=bf16-mixed",
        "--trainer.enable_progress_bar=true",
        "--trainer.default_root_dir=runs/ddp",
    )  # fmt: skip
    result = json.loads((workplace / "runs/ddp/result.json").read_text())
    assert result["processes"] == 2
    assert not (workplace / "runs/ddp-2").exists()


@pytest.mark.slow
def test_a_method_in_a_file_of_the_working_folder_is_found(tmp_path):
    text = "from kdlight.methods import Supervised\n\n\nclass Mine(Supervised):\n    pass\n"
    (tmp_path / "my_method_of_the_folder.py").write_text(text)
    command = str(Path(sys.executable).with_name("kdlight"))
    options = ["--data=kdlight.data.DigitsDataModule", "--model=my_method_of_the_folder.Mine", "--print_config"]
    given = [command, "fit", *options, "--model.student=kdlight.models.resnet8"]
    done = subprocess.run(given, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "class_path: my_method_of_the_folder.Mine" in done.stdout
