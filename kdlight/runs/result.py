"""``result.json``: the test results of a run, and what is needed to reproduce them."""

import json
import math
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from kdlight.files import replace_file
from kdlight.methods.base.learner import Learner
from kdlight.models.frozen import Frozen
from kdlight.processes import read_run_seed
from kdlight.runs.folder import RunFolder

PACKAGES = ("kdlight", "torch", "lightning", "torchvision", "torchmetrics", "numpy", "scikit-learn")


@dataclass
class Result:
    """Collects the test results of a run and writes them with versions, hardware and times."""

    started: float
    command: str
    test: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def begin(cls, command: str) -> Self:
        """Make an empty result and begin to measure the time.

        Args:
            command: The command that the user called.
        """
        return cls(time.perf_counter(), command)

    def record_test(self, checkpoint: str, measured: Mapping[str, float]) -> None:
        """Add the test results of the checkpoint "last" or "best"."""
        self.test[checkpoint] = {name.removeprefix("test/"): value for name, value in measured.items()}

    def write(self, trainer: Trainer, model: Learner, folder: RunFolder) -> None:
        """Write ``result.json``.

        ``seconds`` is the wall time of this process from the start of the fit to the end of the last test.
        ``train_seconds`` is the training time of all epochs, including those before the run was resumed. What follows
        the last step of an epoch, such as validation and the measurements of `PIDMonitor`, is not counted.
        ``peak_memory`` is in bytes.
        """
        epochs = folder.read_metrics()
        train_seconds = sum(row.get("seconds", 0.0) for row in epochs.values())
        rates = [row["images_per_second"] for row in epochs.values() if "images_per_second" in row]
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        teacher = getattr(model, "teacher", None)
        content = {
            "method": type(model).__name__,
            "student_parameters": sum(parameter.numel() for parameter in model.student.parameters()),
            "epochs": len(epochs),
            "test": self.test,
            "final": epochs[max(epochs)],
            "seed": read_run_seed(),
            "teacher_sha256": teacher.sha256() if isinstance(teacher, Frozen) else None,
            "seconds": time.perf_counter() - self.started,
            "train_seconds": train_seconds,
            "images_per_second": sorted(rates)[len(rates) // 2] if rates else None,
            "peak_memory": read_peak_memory(),
            "device": _describe_device(trainer),
            "precision": str(trainer.precision),
            "processes": trainer.world_size,
            "threads": torch.get_num_threads(),
            "packages": {package: version(package) for package in PACKAGES},
            "python": platform.python_version(),
            "git_commit": read_git_commit(),
            "command": self.command,
        }
        content |= collect_results(callbacks, taken=content)
        with replace_file(folder.result) as draft:
            draft.write_text(format_json(content), encoding="utf-8")


def write_test(measured: Mapping[str, float], trainer: Trainer, checkpoint: str | None, folder: RunFolder) -> None:
    """Write ``test.json``, the results of `kdlight test`.

    Args:
        measured: The measured numbers by name.
        trainer: The trainer that ran the test; results of its callbacks are included.
        checkpoint: Path of the checkpoint; None if the weights come from elsewhere.
        folder: The run's folder.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    content: dict[str, Any] = {"checkpoint": checkpoint, "test": measured}
    content |= collect_results(callbacks, taken=content)
    folder.path.mkdir(parents=True, exist_ok=True)
    with replace_file(folder.test) as draft:
        draft.write_text(format_json(content), encoding="utf-8")


@runtime_checkable
class ResultSource(Protocol):
    """A callback that adds entries to ``result.json`` and ``test.json``."""

    def collect_result(self) -> Mapping[str, Any]:
        """Return entries by key. If several callbacks return a mapping under the same key, the mappings are merged."""


def collect_results(callbacks: Iterable[object], taken: Container[str] = ()) -> dict[str, Any]:
    """Collect the entries that callbacks add to ``result.json`` and ``test.json``, by key.

    An entry is left out, with a warning, if its key is used already or if JSON cannot hold its value, because an error
    would cost the results of a run that has just ended.

    Args:
        callbacks: The callbacks, of which those that are a `ResultSource` are asked.
        taken: The keys of the run's own entries.
    """
    joined: dict[str, Any] = {}
    for callback in callbacks:
        for key, value in callback.collect_result().items() if isinstance(callback, ResultSource) else ():
            try:
                new = to_json(value)
            except TypeError as error:
                _warn_of_lost_entry(callback, key, f"{error}; return numbers, texts, lists and mappings")
                continue
            both = isinstance(joined.get(key), dict) and isinstance(new, dict)
            if key in taken or (key in joined and not both):
                _warn_of_lost_entry(callback, key, "another entry has this key; choose another key")
                continue
            joined[key] = {**joined[key], **new} if both else new
    return joined


def _warn_of_lost_entry(callback: object, key: str, reason: str) -> None:
    rank_zero_warn(f"{type(callback).__name__}: the result has no entry {key!r} of this callback: {reason}")


def to_json(value: Any) -> Any:
    """Convert a value to what JSON can hold: tensors and arrays become numbers or lists, NaN and infinity None.

    Raises:
        TypeError: If the value is, or contains, something else than numbers, texts, lists and mappings.
    """
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return to_json(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"JSON cannot hold an object of the class {type(value).__name__}")


def format_json(content: Mapping[str, Any]) -> str:
    """Format as indented JSON, in which a list of numbers, such as the row of a matrix, stands on one line."""
    indented = json.dumps(content, indent=2)  # writes no line break inside a string, so "[\n" begins a list
    return re.sub(r"\[\n[^\[\]{}\"]*\]", lambda numbers: " ".join(numbers[0].split()), indented) + "\n"


def read_peak_memory() -> int:
    """Return the peak memory in bytes: that of the GPU if there is one, else that of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _describe_device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({platform.machine()})"


def read_git_commit() -> str | None:
    """Return the commit of the working folder, with ``-dirty`` if files were changed; None outside a repository."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
