"""The commands of the README's section 'Your own images', on a few small photographs."""

import csv
import json
import shlex
from pathlib import Path

import pytest
import torch

from kdlight.__main__ import main
from kdlight.workbench.finished_runs import Run
from tests.data.image_sets import write_folder, write_image

ROOT = Path(__file__).parents[2]
QUICK = ["--trainer.max_epochs=2", "--data.num_workers=0", "--trainer.enable_progress_bar=false"]


def commands() -> list[list[str]]:
    """The four commands, as the README has them."""
    section = (ROOT / "README.md").read_text().partition("## Your own images")[2].partition("\n## ")[0]
    return [shlex.split(line)[1:] for line in section.split("```")[1].strip().splitlines()]


@pytest.mark.slow
def test_from_a_folder_of_images_to_onnx(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install kdlight[onnx]")
    pytest.importorskip("onnxscript", reason="ONNX is an extra: pip install kdlight[onnx]")
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "images", train=30, test=0)
    for place in range(3):
        write_image(tmp_path / f"new/{place}.jpg", place)
    fit, evaluate, export, predict = commands()
    small = [*QUICK, "--data.image_size=32"]
    # --train_teacher hands no options on that make the teacher's run short, so it is trained before.
    teacher = ["fit", "--config=photographs/teacher.yaml", "--data.data_dir=images/train"]
    assert main([*teacher, *small]) == 0
    assert main([*(word.replace("DIR", "images/train") for word in fit), *small]) == 0
    assert main([*evaluate, "--seconds=0.01"]) == 0
    assert main(export) == 0
    assert main([word.replace("NEW_IMAGES", "new") for word in predict]) == 0
    run = Run("runs/photographs/kd")
    assert run.student().num_classes == run.teacher().num_classes == 3
    assert json.loads((run.folder / "evaluation.json").read_text())["student"]["costs"]["parameters"] < 2e6
    assert (run.folder / "export-onnx/model-int8.onnx").is_file()
    with run.files.predictions.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == ["new/0.jpg", "new/1.jpg", "new/2.jpg"]
    assert {row["class"] for row in rows} <= {"class0", "class1", "class2"}
    assert "the same class for" in capsys.readouterr().out


@pytest.mark.slow
def test_the_same_with_a_teacher_of_timm_and_its_pid(tmp_path, monkeypatch):
    timm = pytest.importorskip("timm", reason="timm is an extra: pip install kdlight[timm]")
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "images", train=30, test=0)
    teacher = timm.create_model("resnet10t", num_classes=3)
    torch.save(teacher.state_dict(), "teacher.pt")
    options = ["--data.data_dir=images/train", "--data.image_size=32", "--model.teacher=kdlight.models.Timm"]
    options += ["--model.teacher.name=resnet10t", "--model.teacher_weights=teacher.pt"]
    assert main(["fit", "--config", str(ROOT / "configs/photographs/kd.yaml"), *options, *QUICK]) == 0
    rebuilt = Run("runs/photographs/kd").teacher()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(rebuilt(images), teacher.eval()(images))
    options = ["--symbols=predictions", "--fit_samples=20"]
    assert main(["pid", "--student", "runs/photographs/kd", *options]) == 0
