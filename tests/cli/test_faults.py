"""Faults, and what is asserted for each; where no file is named, the test is below.

| fault | asserted | test |
|---|---|---|
| kill at 5 random points | the resumed run ends bit-identical: weights, log, optimizer | runs/test_signals.py |
| kill in a checkpoint, before a log's row, before validation | the same, and no draft is left | runs/test_signals.py |
| kill of the command | the same, from outside | cli/test_fit.py |
| SIGTERM, Ctrl-C | the same, from inside the epoch; each image seen once an epoch | runs/test_signals.py |
| SIGTERM, Ctrl-C outside the steps | code 143, 130; after the last step only tests are left | runs/test_experiment.py |
| SIGTERM beside a frozen process | code 143, one line in the deadline | frozen_process, runs/test_stop_deadline.py |
| SIGTERM of two processes | code 143; it goes on and ends with the same weights and log | two_processes |
| a DDP worker dies | all processes end within a minute, code not 0 | lost_process, process_that_fails |
| 2 or 8 fits at once; two resumes at once | a folder, result and seed each; one resumes | runs/test_claim.py |
| a run moved or copied, then resumed | its best epoch stays the best | runs/test_selection.py |
| a copied run: test, predict, resume | all is read from and written to the copy | copied_run |
| ~ in a path | the home folder, in every option and file | test_files.py |
| a pruned run's best epoch, a run that ends before it is pruned | it is pruned; a warning | runs/test_selection.py |
| a resume with other options | code 2 with both values, or on purpose; the old ones stay | runs/test_changes.py |
| full disk | code 2, one line; the last whole checkpoint goes on | full_disk, runs/test_checkpoints.py |
| full disk at a report, picture, export | code 2, one line with the file; no empty file | full_disk_of_a_report |
| read-only file system | code 2, one line with the file and advice that can be followed | test_files.py |
| truncated checkpoint | code 2, one line with the file and the way out | one_line, runs/test_checkpoints.py |
| flipped bytes in a checkpoint, a teacher | one line with it | runs/test_checkpoints.py, models/test_weights.py |
| weights as checkpoint; another student, optimizer | code 2, at most three lines | one_line, runs/test_checkpoints.py |
| corrupt data file | code 2, one line with the file | one_line |
| a damaged test image | it is found before the first step | runs/test_run_files.py |
| images of 16 bits, of floating point numbers | decoded right, refused by name | data/sources/test_decoding.py |
| class folders hidden, unreadable, empty, missing | left out, refused, warned of | data/sources/test_listing.py |
| a folder of images that is not there | code 2, one line with it | cli/test_own_images.py, data/test_image_folder.py |
| wrong teacher | code 2, one line with both sha256 | one_line |
| wrong teacher cache | code 2, one line: what it was made for | one_line, caching/test_teacher_cache.py |
| a cache that cannot be locked | code 2 at once | caching/test_teacher_cache.py |
| NaN loss | code 2, one line with step and term; the step can be replayed | one_line, runs/test_nonfinite.py |
| a validation set that processes share unequally | the mean over the images | methods/test_evaluation.py |
| an option: wrong type, 0, -1, 1e20, NaN, empty, a folder | code 2, or a run | cli/test_option_outcomes.py |
| the same for every other command | the same | cli/test_command_outcomes.py |
| values out of range from Python | `UserError` with the argument, the range and the value | test_ranges.py |
| rates that are no numbers, optimizers that cannot train | code 2, one line | methods/base/test_optimization.py |
| no training step, no test, too few images | code 2, one line | runs/test_trainer.py |
| YAML that is binary, circular, deep, huge, a pipe | code 2 at once, one line with the file | cli/test_compose.py |
| a configuration of others that names any class | nothing of another kind is called | cli/test_foreign_configs.py |
| `result.json` of something else; a run called `[red]` | it stands in the table | workbench/compare/test_table.py |
| equal logits, masked classes, an infinite temperature | moderate gradients, or refused | losses/test_edges.py |
| the untrained teacher of a baseline | kept, and found by `kdlight pid` | workbench/pid/test_pid.py |
| two numbers under one key of W&B | each has its own | runs/test_wandb_record.py |
| a machine with one core | its warning is not an error | data/sources/test_image_files.py |
| modules, phases, arms other than the authors' | as their code has them, or said | methods/base, cli/test_configs.py |
| a table with few samples in its cells | few looks at the bounds | information/test_estimates.py |
| a method whose loss forgets a term, a stage, a weight | its test fails | methods/test_gradients.py and beside it |
| arrays with too many states | code 2 with the number | cli/test_errors.py |
| a bug, an error of someone's method | its traceback; of a mistake only with `--debug` | cli/test_errors.py |
"""

import csv
import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from kdlight import files
from kdlight.__main__ import main

ROOT = Path(__file__).parents[2]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.logger=false"]
TINY = ["--data.train_per_class=20", "--data.batch_size=50", *QUIET]
MEASURED = ("seconds", "images_per_second")
WITHIN = 60  # seconds


def arguments(name, run, *options):
    config = str(ROOT / f"configs/digits/{name}.yaml")
    return ["fit", "--config", config, *TINY, f"--trainer.default_root_dir={run}", "--trainer.callbacks=null", *options]


def started(folder, name, run, *options, **popen):
    return subprocess.Popen(
        [sys.executable, "-m", "kdlight", *arguments(name, run, *options)],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, **popen,
    )  # fmt: skip


def end(process):
    _, errors = process.communicate(timeout=2 * WITHIN)
    assert process.returncode == 0, errors


def rows(run):
    if not (run / "metrics.csv").is_file():
        return []
    with (run / "metrics.csv").open() as stream:
        return [{key: row[key] for key in row if key not in MEASURED} for row in csv.DictReader(stream)]


def wait_for_rows(process, run, number):
    while len(rows(run)) < number:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def one_line(errors):
    (line,) = [line for line in errors.splitlines() if line.startswith("kdlight: ")]
    assert "Traceback" not in errors
    return line


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a teacher and a student of it that were trained for an epoch."""
    folder = tmp_path_factory.mktemp("workplace")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        for name in ("teacher", "kd"):
            assert main(arguments(name, f"runs/digits/{name}", "--trainer.max_epochs=1")) == 0
    return folder


def truncated(folder):
    """Half of the checkpoint that is to be resumed."""
    path = folder / "runs/digits/truncated/checkpoints/last.ckpt"
    path.parent.mkdir(parents=True)
    whole = (folder / "runs/digits/kd/checkpoints/last.ckpt").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return arguments("kd", "runs/digits/truncated", "--ckpt_path=last")


def weights_alone(folder):
    """A state_dict is not what a run continues from."""
    content = torch.load(folder / "runs/digits/kd/checkpoints/last.ckpt", weights_only=True)
    torch.save(content["state_dict"], folder / "weights.pt")
    return arguments("kd", "runs/digits/weights", "--ckpt_path=weights.pt")


def weights_tested(folder):
    """Neither is it what the test command measures."""
    return ["test", *weights_alone(folder)[1:]]


def another_student(folder):
    """The change is made on purpose, and still the weights do not fit."""
    changed = ["--model.student=kdlight.models.resnet14", "--resume_changed=true", "--trainer.max_epochs=2"]
    return arguments("kd", "runs/digits/kd", "--ckpt_path=last", *changed)


def another_optimizer(folder):
    """The checkpoint lies where no configuration tells what the optimizer was."""
    shutil.copytree(folder / "runs/digits/kd/checkpoints", folder / "runs/digits/adam/checkpoints")
    changed = ["--model.optimizer=torch.optim.Adam", "--trainer.max_epochs=2"]
    return arguments("kd", "runs/digits/adam", "--ckpt_path=last", *changed)


def corrupt_data(folder):
    """A file of CIFAR-10 that is something else."""
    (folder / "data/cifar-10-batches-py").mkdir(parents=True)
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        (folder / "data/cifar-10-batches-py" / name).write_bytes(b"not CIFAR")
    config = str(ROOT / "configs/cifar10/teacher.yaml")
    return ["fit", "--config", config, *QUIET, "--trainer.accelerator=cpu", f"--data.data_dir={folder / 'data'}"]


def another_teacher(folder):
    """A resumed run is given other weights."""
    weights = torch.load(folder / "runs/digits/teacher/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    weights = {name.removeprefix("student."): value for name, value in weights.items()}
    next(iter(weights.values())).add_(1)
    torch.save(weights, folder / "other.pt")
    return arguments("kd", "runs/digits/kd", "--ckpt_path=last", "--model.teacher_weights=other.pt")


def cache_of_another_teacher(folder):
    """A teacher cache that another run made is named."""
    cached = ["--trainer.max_epochs=1", "--model.teacher_cache.path=cache"]
    if not (folder / "cache").exists():
        untrained = ["--model.untrained_teacher=true", "--model.teacher_weights=null"]
        assert main(["cache", *arguments("kd", "runs/digits/cached", *cached, *untrained)[1:]]) == 0
    return arguments("kd", "runs/digits/cached", *cached)


def diverging(folder):
    """A learning rate that no network survives."""
    return arguments("kd", "runs/digits/diverging", "--trainer.max_epochs=2", "--model.optimizer.lr=1e20")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (truncated, ["truncated/checkpoints/last.ckpt cannot be read", "truncated", "leave --ckpt_path out"]),
        (weights_alone, ["weights.pt is no checkpoint of a run", "got a ", "--model.student_weights PATH"]),
        (weights_tested, ["weights.pt is no checkpoint of a run", "--model.student_weights PATH"]),
        (another_student, ["kd/checkpoints/last.ckpt does not fit the networks", "Missing key(s)"]),
        (
            another_optimizer,
            ["another optimizer than Adam: it lacks the options amsgrad, betas", "--model.student_weights PATH"],
        ),
        (corrupt_data, ["data_batch_1"]),
        (another_teacher, ["sha256", "set teacher_weights to those of that run"]),
        (cache_of_another_teacher, ["teacher cache cache was made for another teacher (sha256)", "another path"]),
        (diverging, ["step 1 of epoch 0", "cross_entropy = ", "nan", "diverging/nonfinite.pt", "learning rate"]),
    ],
)
def test_one_line_says_it(fault, said, workplace, monkeypatch, capfd):
    monkeypatch.chdir(workplace)
    assert main(fault(workplace)) == 2
    line = one_line(capfd.readouterr().err)
    for part in said:
        assert part in line


def test_a_copied_run_is_measured_and_continued_where_it_lies(workplace, monkeypatch):
    """Its configuration still names the folder of the original."""
    monkeypatch.chdir(workplace)
    assert main(arguments("kd", "original", "--trainer.max_epochs=1")) == 0
    shutil.copytree(workplace / "original", workplace / "copied")
    before = {file: file.stat().st_mtime_ns for file in (workplace / "original").rglob("*")}
    for command in (["test", "--ckpt_path=best"], ["predict", "--ckpt_path=last"]):
        assert main([*command, "--config=copied/config.yaml"]) == 0
    assert main(["fit", "--config=copied/config.yaml", "--ckpt_path=last", "--trainer.max_epochs=2"]) == 0
    tested = json.loads((workplace / "copied/test.json").read_text())
    assert Path(tested["checkpoint"]) == workplace / "copied/checkpoints/best.ckpt"
    assert (workplace / "copied/predictions.csv").is_file()
    assert len(rows(workplace / "copied")) == 2
    assert {file: file.stat().st_mtime_ns for file in (workplace / "original").rglob("*")} == before


def test_full_disk(workplace, monkeypatch):
    """The limit falls while the run goes on: from then on no file may be larger than a checkpoint's beginning."""
    run = workplace / "runs/digits/full"
    process = started(workplace, "kd", run, "--trainer.max_epochs=500")
    wait_for_rows(process, run, 2)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    _, errors = process.communicate(timeout=WITHIN)
    assert process.returncode == 2, errors
    line = one_line(errors)
    for part in ("disk is full", ".ckpt was not written", "still there", "free space and go on with --ckpt_path last"):
        assert part in line
    epoch = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch"]
    assert not list(run.rglob("*.part"))
    monkeypatch.chdir(workplace)
    assert main(arguments("kd", run, f"--trainer.max_epochs={epoch + 2}", "--ckpt_path=last")) == 0
    assert [int(row["epoch"]) for row in rows(run)] == list(range(epoch + 2))


def report_of_arrays(folder, option):
    np.save(folder / "symbols.npy", np.arange(60) % 3)
    arrays = [f"--{name}={folder / 'symbols.npy'}" for name in ("first", "second", "target")]
    return ["pid", *arrays, option]


def measured(folder):
    """A copy of a run with a PID in its result, and two rows of it in its log."""
    run = folder / "runs/digits/measured"
    shutil.copytree(folder / "runs/digits/kd", run, dirs_exist_ok=True)
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "pid_test": {"stage3": {"redundant": 2.0}}}))
    (run / "metrics.csv").write_text("epoch,step,val/accuracy,pid/stage3/redundant\n0,1,.5,1\n1,2,.6,2\n")
    return "runs/digits/measured"


def predictions(folder):
    return ["predict", *arguments("kd", "runs/digits/kd", "--ckpt_path=last")[1:]]


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("report/pid.json", lambda folder: report_of_arrays(folder, "--json=report/pid.json")),
        ("report/pid.png", lambda folder: report_of_arrays(folder, "--plot=report/pid.png")),
        ("runs/digits/kd/predictions.csv", predictions),
        ("report/curves.png", lambda folder: ["compare", measured(folder), "--plot=report/curves.png"]),
        ("report/bars.png", lambda folder: ["compare", measured(folder), "--bars=report/bars.png"]),
        ("report/page.html", lambda folder: ["report", "runs/digits/kd", "--output=report/page.html"]),
        ("report/kd.safetensors", lambda folder: ["export", "runs/digits/kd", "--output=report/kd.safetensors"]),
        ("runs/digits/kd/evaluation.json", lambda folder: ["evaluate", "runs/digits/kd", "--seconds=0.001"]),
    ],
)
def test_full_disk_of_a_report(file, command, workplace, monkeypatch, capfd):
    def no_space(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.chdir(workplace)
    monkeypatch.setattr(files, "_flush", no_space)
    assert main(command(workplace)) == 2
    line = one_line(capfd.readouterr().err)
    assert "disk is full: " in line
    assert Path(file).name in line
    assert not Path(file).exists()
    assert not list(Path(file).parent.glob("*.part"))


def children(process):
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


# On gloo, which notices a lost connection; NCCL would not, and there a process ends with the one that started it.
TWO = ["--trainer.strategy=ddp", "--trainer.devices=2", "--data.batch_size=10", "--trainer.accelerator=cpu"]


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_lost_process_ends_the_run(rank, workplace):
    run = workplace / f"runs/digits/lost{rank}"
    process = started(workplace, "teacher", run, "--trainer.max_epochs=500", *TWO)
    wait_for_rows(process, run, 2)
    (other,) = children(process)
    os.kill([process.pid, other][rank], signal.SIGKILL)
    _, errors = process.communicate(timeout=WITHIN)  # until the pipe has no writer left: all processes have ended
    assert process.returncode != 0
    if rank == 1:
        assert "go on with --ckpt_path last" in one_line(errors)


FAILING = """
import os
import sys

from kdlight.__main__ import main
from kdlight.methods.supervised import Supervised

if os.environ.get("LOCAL_RANK", "0") == "{rank}":
    terms = Supervised.batch_terms
    Supervised.batch_terms = lambda self, batch: {{
        name: term * (float("nan") if self.global_step == 3 else 1.0) for name, term in terms(self, batch).items()
    }}
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_fails_ends_the_run(rank, workplace):
    script, run = workplace / f"failing{rank}.py", workplace / f"runs/digits/failing{rank}"
    script.write_text(FAILING.format(rank=rank))
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments("teacher", run, "--trainer.max_epochs=500", *TWO)],
        cwd=workplace, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    _, errors = process.communicate(timeout=2 * WITHIN)
    assert process.returncode != 0
    assert "step 3 of epoch 0: cross_entropy = nan" in errors
    assert (run / ("nonfinite-1.pt" if rank else "nonfinite.pt")).is_file()


IMPATIENT = """
import sys

from kdlight.__main__ import main
from kdlight.runs.signals import SignalHandler

SignalHandler.__init__.__kwdefaults__["answer_within"] = 2.0
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_frozen_process_does_not_keep_the_run_from_ending(workplace):
    script, run = workplace / "impatient.py", workplace / "runs/digits/frozen"
    script.write_text(IMPATIENT)
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments("teacher", run, "--trainer.max_epochs=500", *TWO)],
        cwd=workplace, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    wait_for_rows(process, run, 2)
    (other,) = children(process)
    os.kill(other, signal.SIGSTOP)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=WITHIN)  # until the pipe has no writer left: all processes have ended
    assert process.returncode == 143, errors
    assert "has not answered for 2 seconds" in one_line(errors)


@pytest.mark.slow
def test_two_processes_go_on(workplace):
    options = ["--trainer.max_epochs=12", *TWO]
    whole, run = workplace / "runs/digits/whole", workplace / "runs/digits/stopped"
    end(started(workplace, "teacher", whole, *options))
    stopped = started(workplace, "teacher", run, *options)
    wait_for_rows(stopped, run, 2)
    stopped.send_signal(signal.SIGTERM)
    _, errors = stopped.communicate(timeout=WITHIN)
    assert stopped.returncode == 143, errors
    assert "--ckpt_path last" in one_line(errors)
    sums = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch_so_far"]["processes"]
    assert len(sums) in (0, 2)
    again = started(workplace, "teacher", run, *options, "--ckpt_path=last")
    end(again)
    assert rows(run) == rows(whole)
    expected = torch.load(whole / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    for name, value in torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"].items():
        assert torch.equal(value, expected[name]), name
