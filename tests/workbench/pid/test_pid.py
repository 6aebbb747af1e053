"""`kdlight pid` of arrays and of finished networks."""

import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from kdlight.__main__ import main
from kdlight.models.frozen import Frozen
from kdlight.models.zoo.resnet import resnet8
from kdlight.runs.folder import RunFolder
from kdlight.workbench.finished_runs import Run

SHAPE = (1, 8, 8)
QUICK = ("--clusters=2", "--fit_samples=100", "--repeats=2")
LOGITS = ("--symbols=predictions",)


@pytest.fixture
def arrays(tmp_path):
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 2, (2, 2000))
    for name, values in (("first", first), ("second", second), ("target", first ^ second)):
        np.save(tmp_path / f"{name}.npy", values)
    return tmp_path


def of_arrays(folder, *options):
    files = [f"--{name}={folder / f'{name}.npy'}" for name in ("first", "second", "target")]
    return main(["pid", *files, *options])


def test_xor_is_synergy(arrays, capsys):
    assert of_arrays(arrays, f"--json={arrays / 'out/pid.json'}", f"--plot={arrays / 'out/pid.png'}") == 0
    report = json.loads((arrays / "out/pid.json").read_text())
    assert report["samples"] == 2000
    assert report["atoms"]["synergistic"] == pytest.approx(1, abs=0.01)
    assert report["atoms"]["redundant_mmi"] == pytest.approx(0, abs=0.01)
    assert (arrays / "out/pid.png").read_bytes().startswith(b"\x89PNG")
    assert "synergistic" in capsys.readouterr().out


def test_features_are_clustered_on_the_other_half(arrays):
    """Features without any information have none, however many clusters are fitted to them."""
    rng = np.random.default_rng(1)
    target = rng.integers(0, 2, 2000)
    np.save(arrays / "first.npy", np.eye(2, 6)[target] + 0.05 * rng.standard_normal((2000, 6)))
    np.save(arrays / "second.npy", rng.standard_normal((2000, 6)))
    np.save(arrays / "target.npy", target)
    options = ["--symbols=probe", f"--json={arrays / 'pid.json'}"]
    assert of_arrays(arrays, *options) == 0
    report = json.loads((arrays / "pid.json").read_text())
    assert report["samples"] == 1000
    assert report["atoms"]["information_first"] == pytest.approx(1, abs=0.01)
    assert report["atoms"]["information_second"] < 0.01


def run_of(folder, seed, **method):
    """What a finished run leaves behind, as far as it matters."""
    torch.manual_seed(seed)
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True)
    model = resnet8(10, SHAPE)
    weights = {f"student.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": weights}, run.locate_checkpoint("last"))
    network = {"class_path": "kdlight.models.resnet8", "init_args": {"num_classes": 10, "image_shape": list(SHAPE)}}
    config = {
        "trainer": {"callbacks": None},
        "model": {"class_path": "kdlight.methods.KD", "init_args": {"student": network, **method}},
        "data": {"class_path": "kdlight.data.DigitsDataModule", "init_args": {"val_size": 100, "train_per_class": 20}},
    }
    run.config.write_text(yaml.safe_dump(config))
    return network


def test_the_untrained_teacher_of_a_run_without_distillation_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    untrained = ["--model.teacher_weights=null", "--model.untrained_teacher=true", "--trainer.callbacks=[]"]
    assert (
        main(["fit", "--config=digits/baseline.yaml", "--trainer.max_epochs=1", "--seed_everything=3", *untrained]) == 0
    )
    run = Run("runs/digits/baseline")
    written = load_file(tmp_path / "runs/digits/baseline/teacher.safetensors")
    assert written.keys() == run.teacher().state_dict().keys()
    for name, value in run.teacher().state_dict().items():
        assert torch.equal(value, written[name])
    of_run = ["pid", "--student=runs/digits/baseline", "--samples=60", *QUICK, "--json=pid.json"]
    assert main(of_run) == 0
    assert json.loads((tmp_path / "pid.json").read_text())["matrix"]["stage3"]["stage3"]["information_teacher"] > 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    network = run_of(folder / "teacher", 0)
    weights = str(folder / "teacher/checkpoints/last.ckpt")
    run_of(folder / "student", 1, teacher=network, teacher_weights=weights)
    return folder


def of_networks(runs, folder, *options):
    file = folder / "pid.json"
    assert main(["pid", f"--student={runs / 'student'}", "--samples=60", *QUICK, f"--json={file}", *options]) == 0
    return json.loads(file.read_text())


def test_each_stage_against_each(runs, tmp_path, capsys):
    report = of_networks(runs, tmp_path, f"--plot={tmp_path / 'pid.png'}")
    places = ["stage1", "stage2", "stage3", "embedding", "logits"]
    assert list(report["matrix"]) == places
    for row in report["matrix"].values():
        assert list(row) == places
        informations = [cell.get("information_teacher", 0) for cell in row.values()]
        assert max(informations) == pytest.approx(min(informations), abs=1e-9)
    assert report["samples"] == 60
    assert (tmp_path / "pid.png").read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr()
    assert "stage3" in shown.out
    assert "not estimable" in shown.out or "±" in shown.out
    assert report["bounds"]["redundant_at_least"] >= 0


def test_a_network_by_its_run_its_checkpoint_or_its_weights(runs, tmp_path):
    run = Run(runs / "student")
    expected = Frozen(run.teacher()).sha256()
    assert Frozen(run.student()).sha256() != expected
    assert Frozen(Run(runs / "teacher").student()).sha256() == expected
    checkpoint = runs / "teacher/checkpoints/last.ckpt"
    assert Frozen(Run(checkpoint).student()).sha256() == expected
    weights = tmp_path / "weights.pt"
    torch.save(Run(checkpoint).student().state_dict(), weights)
    assert not Run.has_run(weights)
    assert of_networks(runs, tmp_path, f"--teacher={weights}", *LOGITS)["teacher_sha256"] == expected


def test_data_can_be_changed_and_a_network_equals_itself(runs, tmp_path):
    options = ["--split=val", "--data.val_size", "80", f"--teacher={runs / 'student'}", "--samples=1000", *LOGITS]
    report = of_networks(runs, tmp_path, *options)
    assert report["samples"] == 80
    for place, row in report["matrix"].items():
        assert row[place]["unique_teacher"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected either --first, --second and --target (arrays), or --student"),
        (["--first=a.npy"], "expected either"),
        (["--first=a.npy", "--second=a.npy", "--target=a.npy"], "a.npy does not exist"),
        (["--student=nowhere"], "nowhere does not exist"),
        (["--student={runs}"], "config.yaml is missing"),
        (["--student={runs}/teacher"], "was trained without a teacher; name one with --teacher RUN"),
        (["--student={runs}/student", "--data.val_siz=3"], "val_siz"),
        (["--student={runs}/student", "--sample=3"], "no option --sample"),
        (["--student={runs}/student", "--samples=3"], "expected at least 8, got 3"),
        (["--student={runs}/student", "--plot=pid.xyz"], "expected a picture format among"),
    ],
)
def test_errors_are_one_line(runs, options, message, capsys):
    assert main(["pid", *(option.format(runs=runs) for option in options)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kdlight: ")
    assert message in line


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("target", np.zeros((2000, 2), int), "one-dimensional target of equal length"),
        ("first", np.zeros(5, int), "equal length, got shapes"),
        ("first", np.full((2000, 3), np.nan), "expected finite numbers"),
        ("second", np.array(["a"] * 2000), "expected numbers, got an array of <U1"),
    ],
)
def test_arrays_that_do_not_fit(arrays, name, values, message, capsys):
    np.save(arrays / f"{name}.npy", values)
    assert of_arrays(arrays) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_several_teachers_are_ranked(runs, tmp_path, capsys):
    """The student itself has nothing to give to the student."""
    file, plot = tmp_path / "rank.json", tmp_path / "rank.png"
    teachers = [str(runs / "student"), str(runs / "teacher")]
    options = ["--samples=300", "--data.val_size=300", "--split=val", f"--json={file}", f"--plot={plot}"]
    assert main(["pid", f"--student={runs / 'student'}", "--teacher", *teachers, *QUICK, *options]) == 0
    report = json.loads(file.read_text())
    assert set(report["teachers"]) == set(teachers)
    assert report["teachers"][teachers[0]]["unique_teacher"] == pytest.approx(0, abs=0.02)
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "could give" in capsys.readouterr().out
    assert main(["pid", f"--student={runs / 'student'}", "--teacher", teachers[0], teachers[0]]) == 2
    assert "got the same run twice" in capsys.readouterr().err
