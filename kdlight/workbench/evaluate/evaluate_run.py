"""Measure accuracy, calibration, robustness and costs of a run's student and its teacher."""

from collections.abc import Sequence
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_accuracy

from kdlight.data.base.loader import make_evaluation_indices
from kdlight.workbench.costs import count_bytes, count_operations, count_parameters, measure_latency, measure_memory
from kdlight.workbench.evaluate.calibration import fit_temperature, measure_calibration
from kdlight.workbench.evaluate.corruptions import CORRUPTIONS, corrupt
from kdlight.workbench.finished_runs import Run

BATCHES = (1, 64)
NOISE_SEED = 0


def evaluate_run(run: Run, changes: dict[str, Any], *, threads: int, seconds: float) -> dict[str, Any]:
    """Measure a run's student, and its teacher if it has one.

    Args:
        run: The run.
        changes: Arguments of the data module that have other values now than in the run, such as the images' folder.
        threads: The number of CPU threads for measuring latency.
        seconds: To measure one latency, forward passes are repeated for at least this many seconds.

    Returns:
        A mapping with the keys ``checkpoint``, ``device``, ``threads`` and ``student``. The value of ``student`` is a
        mapping with the keys ``test`` (accuracy and calibration), ``corrupted`` (the accuracy by corruption) and
        ``costs``. If there is a teacher, the key ``teacher`` has a mapping of the same form, and ``agreement`` is the
        fraction of test images for which student and teacher predict the same class.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    networks: dict[str, nn.Module] = {"student": run.student().to(device)}
    if (run.config["model"].get("init_args") or {}).get("teacher"):
        networks["teacher"] = run.teacher().to(device)
    data = run.data(changes)
    data.setup("test")
    if data.val_size > 0:
        data.setup("fit")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    measured: dict[str, Any] = {"checkpoint": str(run.checkpoint), "device": name, "threads": threads}
    predicted = {}
    for role, network in networks.items():
        logits, target = _compute_logits(network, data, "test")
        predicted[role] = logits.argmax(1)
        test = measure_calibration(logits, target)
        if data.val_size > 0:
            temperature = fit_temperature(*_compute_logits(network, data, "val"))
            test["temperature"] = temperature
            test["calibration_error_scaled"] = measure_calibration(logits, target, temperature)["calibration_error"]
        corrupted = {}
        for corruption in CORRUPTIONS:
            logits, target = _compute_logits(network, data, "test", corruption)
            corrupted[corruption] = float(multiclass_accuracy(logits, target, logits.shape[1], average="micro"))
        costs = _measure_costs(network, data.image_shape, threads, seconds)
        measured[role] = {"test": test, "corrupted": corrupted, "costs": costs}
    if "teacher" in predicted:
        measured["agreement"] = float((predicted["student"] == predicted["teacher"]).float().mean())
    return measured


def _measure_costs(network: nn.Module, image_shape: Sequence[int], threads: int, seconds: float) -> dict[str, Any]:
    costs: dict[str, Any] = {
        "parameters": count_parameters(network),
        "operations": count_operations(network, image_shape),
        "file_bytes": count_bytes(network),
    }
    for batch in BATCHES:
        costs[f"memory_bytes_{batch}"] = measure_memory(network, image_shape, batch)
        costs[f"seconds_{batch}"] = measure_latency(network, image_shape, batch, threads=threads, seconds=seconds)
    return costs


@torch.no_grad()
def _compute_logits(network: nn.Module, data: Any, split: str, corruption: str | None = None) -> tuple[Tensor, Tensor]:
    """Compute the logits (n, classes) of a split, and return them with the true classes (n,), on the CPU."""
    samples, found, targets = data.get_split(split), [], []
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(NOISE_SEED)
    for batch in samples.fetch_batches(make_evaluation_indices(len(samples), batch_size=data.eval_batch_size)):
        if corruption is not None:
            batch = batch._replace(images=corrupt(batch.images, corruption, generator))
        found.append(network(data.normalize_batch(batch).images.to(device)).float().cpu())
        targets.append(batch.target)
    return torch.cat(found), torch.cat(targets)


def show(measured: dict[str, Any], console: Console) -> None:
    """Print a table with one column per network."""
    roles = [role for role in ("student", "teacher") if role in measured]
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=measured["checkpoint"], title_justify="left")
    rows.add_column("")
    for role in roles:
        rows.add_column(role, justify="right")

    def row(label: str, part: str, key: str, scale: float, form: str) -> None:
        values = [measured[role][part].get(key) for role in roles]
        if any(value is not None for value in values):
            rows.add_row(label, *("" if value is None else form.format(value / scale) for value in values))

    row("accuracy, %", "test", "accuracy", 0.01, "{:.2f}")
    row("calibration error, %", "test", "calibration_error", 0.01, "{:.2f}")
    row("temperature, fitted on validation", "test", "temperature", 1, "{:.3f}")
    row("calibration error with temperature, %", "test", "calibration_error_scaled", 0.01, "{:.2f}")
    for corruption in CORRUPTIONS:
        row(f"accuracy, {corruption}, %", "corrupted", corruption, 0.01, "{:.2f}")
    row("parameters, millions", "costs", "parameters", 1e6, "{:.3f}")
    row("operations per image, millions", "costs", "operations", 1e6, "{:.1f}")
    row("file, MB", "costs", "file_bytes", 1e6, "{:.2f}")
    for batch in BATCHES:
        row(f"memory, batch of {batch}, MB", "costs", f"memory_bytes_{batch}", 1e6, "{:.2f}")
        row(f"latency, batch of {batch}, ms", "costs", f"seconds_{batch}", 1e-3, "{:.2f}")
    console.print(rows)
    if "agreement" in measured:
        console.print(f"student and teacher predict the same class for {100 * measured['agreement']:.2f} % of images")
    console.print(f"latency was measured on: {measured['device']}, {measured['threads']} threads")
