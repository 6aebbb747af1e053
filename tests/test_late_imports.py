"""Modules that are executed when they are used, tried in fresh interpreters."""

import importlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdlight import late_imports


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_a_command_starts_without_what_it_does_not_use() -> None:
    code = """
import sys
import kdlight.callbacks.pid_monitor
import kdlight.cli.build
from kdlight.data import DigitsDataModule
DigitsDataModule().setup('fit')
heavy = ["matplotlib", "torchvision", "scipy.special", "scipy.linalg", "scipy.stats", "sklearn", "pandas"]
print([name for name in [*heavy, "wandb"] if name in sys.modules])
"""
    assert run(code) == "[]"


def test_both_libraries_work_as_ever() -> None:
    code = """
import kdlight, torchmetrics, sys, torch
import scipy.signal
assert "matplotlib" not in sys.modules and "scipy.stats" not in sys.modules
from torchmetrics.functional.classification import multiclass_roc
metric = torchmetrics.classification.MulticlassAccuracy(3)
metric.update(torch.tensor([1, 2]), torch.tensor([1, 2]))
import matplotlib
matplotlib.use("agg")
figure, axes = metric.plot()
assert torchmetrics.utilities.plot._AX_TYPE is matplotlib.axes.Axes
from scipy.signal.windows import hann
assert scipy.signal.find_peaks([0, 1, 0])[0].tolist() == [1]
assert scipy.signal.hamming(5).tolist() == scipy.signal.windows.hamming(5).tolist()
print(type(figure).__name__, type(scipy.signal).__name__, [round(float(value), 2) for value in hann(3)])
"""
    assert run(code) == "Figure module [0.0, 1.0, 0.0]"


def test_metrics_of_image_quality_import_torchvision_when_they_are_used() -> None:
    code = """
import kdlight, sys, torch, torchmetrics
from torchmetrics.functional.image import arniqa
assert "torchvision" not in sys.modules
try:
    arniqa(torch.rand(1, 3, 4, 4), regressor_dataset="none")
except ValueError as error:
    print(str(error)[:30], "torchvision" in sys.modules)
"""
    assert run(code).endswith("True")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A late package of its own, whose code says that it runs."""
    (tmp_path / "late_package").mkdir()
    (tmp_path / "late_package/__init__.py").write_text(
        "import late_log\nlate_log.said.append('executed')\nfrom late_package import part\nvalue = part.value\n"
    )
    (tmp_path / "late_package/part.py").write_text("value = 3\n")
    (tmp_path / "late_log.py").write_text("said = []\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(late_imports.LATE, "late_package", {"early": 1})
    yield "late_package"
    for name in ("late_package", "late_package.part", "late_log"):
        sys.modules.pop(name, None)


def said() -> list[str]:
    return importlib.import_module("late_log").said


def test_first_names_execute_nothing(package: str) -> None:
    module = importlib.import_module(package)
    assert module.early == 1
    assert said() == []
    assert module.value == 3
    assert module.early == 1
    assert said() == ["executed"]


def test_importing_a_part_executes_the_package_first(package: str) -> None:
    importlib.import_module(package)
    assert importlib.import_module(f"{package}.part").value == 3
    assert said() == ["executed"]
    assert sys.modules[package].value == 3


def test_a_name_that_is_not_there_is_an_attribute_error(package: str) -> None:
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match="absent"):
        _ = module.absent
    with pytest.raises(AttributeError, match="absent"):
        _ = module.absent
    assert said() == ["executed"]


def test_threads_execute_it_once(package: str) -> None:
    module = importlib.import_module(package)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(module.value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3] * 8
    assert said() == ["executed"]


def test_code_that_fails_raises_its_own_error_and_is_tried_again(package: str, tmp_path: Path) -> None:
    module = importlib.import_module(package)
    part = tmp_path / "late_package/part.py"
    part.write_text("raise OSError('disk')\n")
    with pytest.raises(OSError, match="disk"):
        _ = module.value
    part.write_text("value = 3  # mended\n")
    assert module.value == 3
