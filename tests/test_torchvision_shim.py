"""The import hook that makes torchvision importable beside a CPU-only torch, tried in fresh interpreters."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdlight import torchvision_shim


def run(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_import_kdlight_imports_no_torch() -> None:
    code = """
import importlib.util, sys
import kdlight
assert importlib.util.find_spec("torchvision").origin.endswith("__init__.py")
print(sorted({"torch", "torchvision", "lightning", "numpy"} & set(sys.modules)))
"""
    assert run(code) == "[]"


def test_version_is_the_installed_one() -> None:
    assert run("import kdlight; print(kdlight.__version__)") == version("kdlight")


def test_lightning_and_torchmetrics_import_after_kdlight() -> None:
    assert run("import kdlight, lightning, torchmetrics; print('ok')") == "ok"


def test_torchvision_works_after_kdlight(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    Image.fromarray(np.zeros((40, 40, 3), dtype=np.uint8)).save(tmp_path / "cat" / "0.png")
    code = """
import sys
import kdlight, kdlight.torchvision_shim as shim, torch, torchvision
from torchvision.transforms import v2
shim.install()
assert sum(type(finder).__name__ == "_OperatorFinder" for finder in sys.meta_path) == 1
transform = v2.Compose([v2.ToImage(), v2.RandomCrop(32), v2.ToDtype(torch.float32, scale=True)])
image, label = torchvision.datasets.ImageFolder(sys.argv[1], transform)[0]
logits = torchvision.models.resnet18(num_classes=7).eval()(image[None])
print(label, tuple(image.shape), tuple(logits.shape))
"""
    assert run(code, str(tmp_path)) == "0 (3, 32, 32) (1, 7)"


def test_a_torchvision_that_loaded_its_operators_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import torchvision.extension

    declared: list[str] = []
    monkeypatch.setattr(torch.library, "define", lambda name, schema: declared.append(name))
    monkeypatch.setattr(torch.ops, "torchvision", object())
    monkeypatch.setattr(torch.version, "cuda", None)

    monkeypatch.setattr(torchvision.extension, "_has_ops", lambda: True)
    torchvision_shim._declare_missing_operators()
    assert declared == []

    monkeypatch.setattr(torchvision.extension, "_has_ops", lambda: False)
    torchvision_shim._declare_missing_operators()
    assert declared == ["torchvision::nms", "torchvision::qnms"]

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    torchvision_shim._declare_missing_operators()
    assert len(declared) == 2
