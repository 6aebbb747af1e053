"""Students that are taken away: what the files compute, the card, and what is refused."""

import json
import re
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from kdlight.__main__ import main
from kdlight.errors import UserError
from kdlight.workbench.export.export_student import compare
from kdlight.workbench.finished_runs import Run

SCRIPT = re.compile(r"```python\n(.*?)```", re.DOTALL)
WEIGHTS = "model.safetensors"


def onnx() -> None:
    pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install kdlight[onnx]")
    pytest.importorskip("onnxscript", reason="ONNX is an extra: pip install kdlight[onnx]")


def largest_difference(said: str, images: int) -> float:
    found = re.search(rf"on {images} test images no logit differs from the checkpoint's by more than (\S+)", said)
    assert found, said
    return float(found[1])


def card(folder: Path) -> tuple[dict[str, object], str]:
    _, header, body = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(header), body


def test_weights_with_their_preparation_and_card(photographs_run, tmp_path, capsys):
    run = photographs_run()
    output = tmp_path / "out"
    assert main(["export", str(run), "--format=safetensors", f"--output={output}", "--images=5"]) == 0
    assert largest_difference(capsys.readouterr().out, images=5) < 1e-4
    assert sorted(file.name for file in output.iterdir()) == [
        "README.md",
        "example.png",
        "model.safetensors",
        "preparation.json",
    ]
    student = Run(run).student()
    for name, value in load_file(output / WEIGHTS).items():
        assert torch.equal(value, student.state_dict()[name])
    assert json.loads((output / "preparation.json").read_text())["class_names"] == ["class0", "class1", "class2"]
    header, body = card(output)
    assert (header["license"], header["pipeline_tag"]) == ("other", "image-classification")
    assert header["model-index"][0]["results"][0]["metrics"] == [{"type": "accuracy", "value": 0.5}]
    for said in ("Torchvision shufflenet_v2_x0_5", "| method | KD |", "unique teacher | 0.200", "0" * 64):
        assert said in body
    (script,) = SCRIPT.findall(body)
    loaded = {}
    exec(script.replace('"model.safetensors"', repr(str(output / "model.safetensors"))), loaded)
    images = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        assert torch.equal(loaded["model"](images), student(images))


def test_a_file_that_computes_something_else_is_refused():
    pixels, expected = torch.zeros(60, 1, 2, 2, dtype=torch.uint8), torch.rand(60, 3)
    batches = []

    def program(batch):
        batches.append(len(batch))
        start = sum(batches[:-1])
        return expected[start : start + len(batch)] + 2e-4 * (start > 0)

    assert compare(lambda batch: expected[: len(batch)], pixels[:1], expected[:1], torch.zeros(1), "x").images == 1
    with pytest.raises(
        UserError, match=r"model.onnx was not written: a logit differs .* by 2.00e-04 on 60 test images"
    ):
        compare(program, pixels, expected, torch.zeros(60), "model.onnx")
    assert batches[0] == 1
    assert max(batches) > 1


def test_nothing_stays_of_an_export_that_is_refused(photographs_run, tmp_path, monkeypatch, capsys):
    run = photographs_run()
    monkeypatch.setattr("kdlight.workbench.export.export_student.TOLERANCE", -1.0)
    assert main(["export", str(run), "--format=safetensors", f"--output={tmp_path / 'out'}"]) == 2
    assert "model.safetensors was not written" in capsys.readouterr().err
    assert not list(tmp_path.glob("*out*"))
    assert not list(tmp_path.glob(".export*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format=safetensors", "--quantize=int8"], "--quantize int8 needs --format onnx"),
        (["--format=safetensors", "--images=0"], "--images: expected at least 1"),
        (["--format=safetensors", "--output={run}"], "exists already; remove it, or name a new folder"),
    ],
)
def test_mistakes_are_said(options, message, photographs_run, capsys):
    run = photographs_run()
    assert main(["export", str(run), *(option.format(run=run) for option in options)]) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def without_kdlight(tmp_path):
    """An interpreter with the packages of this one, and without kdlight."""
    venv.create(tmp_path / "env", with_pip=False)
    (site,) = (tmp_path / "env/lib").glob("python*/site-packages")
    # A .pth inside a folder that another .pth names is not read: an editable kdlight stays out.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = tmp_path / "env/bin/python"
    code = "import torch, importlib.util; print(importlib.util.find_spec('kdlight'))"
    found = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    if found.stdout.strip() != "None":
        pytest.skip("kdlight is installed in a way that every environment sees")
    return python


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "torch-export"])
def test_the_cards_script_runs_without_kdlight(kind, photographs_run, without_kdlight, tmp_path, capsys):
    onnx()
    run = photographs_run()
    output = tmp_path / "out"
    options = ["--quantize=int8"] if kind == "onnx" else []
    assert main(["export", str(run), f"--format={kind}", f"--output={output}", *options]) == 0
    assert largest_difference(capsys.readouterr().out, images=12) < 1e-4
    _, body = card(output)
    (script,) = SCRIPT.findall(body)
    assert len(script.splitlines()) <= 13
    (output / "predict.py").write_text(script)
    assert main(["predict", str(run), str(output / "example.png"), "--output=-"]) == 0
    expected = capsys.readouterr().out.splitlines()[1].split(",")[1]
    ran = subprocess.run(
        [without_kdlight, "-I", "predict.py", "example.png"], cwd=output, capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == expected, ran.stderr
    if kind == "onnx":
        assert (output / "model-int8.onnx").stat().st_size < 0.5 * (output / "model.onnx").stat().st_size
        assert "| int8 | accuracy on these images" in body


def test_a_hub_reads_the_card(photographs_run, tmp_path):
    hub = pytest.importorskip("huggingface_hub", reason="comes with timm")
    assert main(["export", str(photographs_run()), "--format=safetensors", f"--output={tmp_path / 'out'}"]) == 0
    data = hub.ModelCard.load(tmp_path / "out/README.md").data
    assert data.eval_results[0].metric_value == 0.5
    assert data.tags == ["knowledge-distillation", "kdlight", "KD"]
