"""What Weights & Biases would receive, read from the file that an offline run leaves."""

import json
import struct
import time
from pathlib import Path

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure
from safetensors.torch import load_file
from wandb.proto.wandb_internal_pb2 import Record

from kdlight.__main__ import main
from kdlight.callbacks.pid_monitor import PIDMonitor
from kdlight.methods.kd import KD
from kdlight.runs.fit import add_run_options, fit_and_test
from kdlight.runs.folder import RunFolder
from kdlight.runs.wandb_record import name_group
from tests.methods.conftest import build, digits, trainer

BLOCK, HEADER = 32_768, struct.Struct("<IHB")  # LevelDB's log: checksum, length, and which part of a record follows
WHOLE, LAST = 1, 4
CONFIG = (
    "model: {init_args: {teacher: {class_path: kdlight.models.wrn}, student: {class_path: kdlight.models.resnet8}}}"
)


def records(file):
    """The records of a ``.wandb`` file."""
    content, place, parts = file.read_bytes(), 7, b""
    found = []
    while place + HEADER.size <= len(content):
        if BLOCK - place % BLOCK < HEADER.size:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = HEADER.unpack_from(content, place)
        parts += content[place + HEADER.size : place + HEADER.size + length]
        place += HEADER.size + length
        if kind in (WHOLE, LAST):
            found.append(Record.FromString(parts))
            parts = b""
    return found


def ended_records(file):
    """The records once the process of W&B has written the last of them, which it does behind the run's back."""
    before = []
    for _ in range(200):
        found = records(file)
        if len(found) == len(before) and any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        before = found
        time.sleep(0.2)
    raise AssertionError(f"{file} has no end after 40 seconds")


def items(updates):
    return {(item.key or ".".join(item.nested_key)): json.loads(item.value_json) for item in updates}


class OwnPanel(Callback):
    """A callback that has a panel and no picture."""

    only_observes = True

    def list_panels(self, stages):
        return {"own/*": False, f"own/stage{stages}": True}


class OwnPicture(Callback):
    """A callback that has a picture and no panel."""

    only_observes = True

    def draw_pictures(self, rows):
        return {"own": Figure()}


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """A distillation of two epochs in a grid, and its records by kind."""
    patch = pytest.MonkeyPatch()
    patch.setenv("WANDB_MODE", "offline")
    patch.setenv("WANDB_SILENT", "true")
    patch.setenv("PL_GLOBAL_SEED", "0")  # an earlier test may have set another one
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "grid/method=kd/seed=0")
    logger, module = WandbLogger(project="kdlight", save_dir=str(folder.path), log_model=True), digits(val_size=400)
    monitor = PIDMonitor(every_n_epochs=1, clusters=2, repeats=2, stages=["stage3"], fit_samples=100)
    given = {"enable_progress_bar": False, "logger": [logger], "callbacks": [monitor, OwnPanel(), OwnPicture()]}
    loop = trainer(folder.path, 2, **add_run_options(given, folder, module, config=CONFIG))
    fit_and_test(loop, build(KD), module, folder)
    patch.undo()
    (file,) = folder.path.glob("wandb/offline-run-*/run-*.wandb")
    kept = {}
    for record in ended_records(file):
        kind = record.WhichOneof("record_type")
        kept.setdefault(kind, []).append(getattr(record, kind))
    return folder, file, kept


def test_runs_are_grouped_over_seeds_and_have_flat_keys(sent):
    _, _, kept = sent
    assert kept["run"][0].run_group == "grid/method=kd"
    assert kept["run"][0].job_type == "fit"
    config = {key: value for update in kept["config"] for key, value in items(update.update).items()}
    expected = {"method": "KD", "pair": "wrn → resnet8", "seed": 0, "grid": "grid"}
    assert {name: config[name] for name in expected} == expected
    assert name_group(Path("runs/digits/rid-2")) == name_group(Path("runs/digits/rid")) == "digits/rid"


def test_everything_is_drawn_over_epochs_and_of_the_pid_the_atoms_alone(sent):
    _, _, kept = sent
    defined = {metric.glob_name or metric.name: metric for metric in kept["metric"]}
    assert defined["*"].step_metric == "epoch"
    assert defined["val/accuracy"].summary.max
    assert defined["val/loss"].summary.min
    assert defined["train/loss"].summary.min
    assert defined["pid/*"].options.hidden
    assert not defined["pid/stage3/redundant"].options.hidden
    assert defined["own/*"].options.hidden
    assert not defined["own/stage3"].options.hidden
    assert "pid/stage3/gap" not in defined
    history = [items(row.item) for row in kept["history"]]
    assert [row["epoch"] for row in history if "pid/stage3/redundant" in row] == [0, 1]
    assert not any("confusion" in name and "pictures" not in name for row in history for name in row)


def test_the_summary_has_the_result_and_its_numbers_are_those_of_the_folder(sent):
    folder, _, kept = sent
    result, summary = folder.read_result(), {}
    for update in kept["summary"]:
        summary |= items(update.update)
    assert summary["result"]["test"] == result["test"]
    assert summary["result"]["teacher_test"] == result["teacher_test"]
    assert "confusion" not in summary["result"]
    rows = folder.read_metrics().values()
    assert summary["best_val_accuracy"] == max(row["val/accuracy"] for row in rows)
    logged = {name: value for row in kept["history"] for name, value in items(row.item).items()}
    for checkpoint, prefix in (("last", "test_last/"), ("best", "test_selected/")):
        for name, value in result["test"][checkpoint].items():
            assert logged[prefix + name] == pytest.approx(value)


def test_the_pictures_and_the_student_are_sent(sent):
    _, file, kept = sent
    logged = {name: value for row in kept["history"] for name, value in items(row.item).items()}
    for picture in ("pictures/confusion", "pictures/pid_stage3", "pictures/own"):
        assert (file.parent / "files" / logged[f"{picture}.path"]).stat().st_size > 1000
    (artifact,) = [record for record in kept["artifact"] if record.type == "model"]
    (entry,) = artifact.manifest.contents
    tensors = load_file(entry.local_path)
    assert tensors.keys() == build(KD).student.state_dict().keys()


def metrics_of(part):
    """What the panels of a workspace draw."""
    if isinstance(part, list):
        return {name for each in part for name in metrics_of(each)}
    if not isinstance(part, dict):
        return set()
    own = {name for key in ("metrics", "mediaKeys") for name in part.get(key, [])}
    return own | {name for each in part.values() for name in metrics_of(each)}


def test_the_dashboard_draws_what_is_sent(sent, tmp_path, monkeypatch):
    _, _, kept = sent
    monkeypatch.chdir(tmp_path)
    assert main(["dashboard", "kdlight", "--stage", "stage3", "-o", "dashboard.json"]) == 0
    drawn = metrics_of(json.loads((tmp_path / "dashboard.json").read_text())["spec"])
    summary = {}
    for update in kept["summary"]:
        summary |= items(update.update)
    rows = [items(row.item) for row in kept["history"]]
    logged = {name.removesuffix(".path") for row in rows for name in row}
    assert {"val/accuracy", "pid/stage3/redundant", "pictures/confusion"} <= drawn
    for name in drawn - {"pid/stage3/synergistic"}:  # so few images do not tell it
        found = summary
        for key in name.split(".") if name.startswith("result") else []:
            found = found[key]
        assert isinstance(found, float) or name in logged, name
