"""Write a student into a folder from which it can be deployed, and check the files on test images."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kdlight.errors import UserError
from kdlight.runs.preparation import Preparation
from kdlight.workbench.export.card import write_card
from kdlight.workbench.export.deployed import (
    DeployedStudent,
    Program,
    quantize_to_int8,
    write_onnx,
    write_safetensors,
    write_torch_export,
)
from kdlight.workbench.export.formats import FILES, INT8

TOLERANCE = 1e-4  # the largest allowed difference of logits is this times max(1, largest absolute logit)
BATCH = 50
CALIBRATION = 200  # number of training images on which the activations' ranges are measured for an int8 file


class ExportCheck(NamedTuple):
    """The result of comparing an exported file with the checkpoint.

    Attributes:
        images: Number of test images compared.
        difference: Largest absolute difference between a logit of the file and one of the checkpoint.
        accuracy: Accuracy of the checkpoint on these images.
        int8_accuracy: Accuracy of the quantised file on these images; None if there is no quantised file.
        int8_agreement: Fraction of these images for which quantised file and checkpoint predict the same class.
    """

    images: int
    difference: float
    accuracy: float
    int8_accuracy: float | None = None
    int8_agreement: float | None = None


def export_student(
    run: Any, kind: str, output: Path, quantize: str | None, images: int, changes: dict[str, Any], license_id: str
) -> ExportCheck:
    """Write a folder with the student. If anything fails, write nothing.

    Args:
        run: The finished run, a `Run`.
        kind: A key of `FILES`.
        output: The folder to create.
        quantize: "int8" or None.
        images: Largest number of test images on which the file is checked.
        changes: Arguments of the run's data module that have changed since the run, such as ``data_dir``.
        license_id: The licence's identifier on the Hugging Face Hub, for the card.

    Raises:
        UserError: If the file's logits differ from the checkpoint's, or the data to check it on are missing.
    """
    data = run.data(changes)
    data.setup("test")
    pixels, target, names = _take_images(data, "test", images)
    prepared = Preparation.of(data)
    model = DeployedStudent(run.student().float(), prepared).eval()
    with torch.no_grad():
        expected = torch.cat([model.student(prepared.normalize(batch)) for batch in pixels.split(BATCH)])
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as name:
        folder = Path(name) / output.name
        folder.mkdir()
        program = _write(run, model, prepared, kind, folder / FILES[kind])
        check = compare(program, pixels, expected, target, FILES[kind])
        if quantize:
            data.setup("fit")
            calibration, _, _ = _take_images(data, "train", CALIBRATION)
            int8 = quantize_to_int8(folder / FILES[kind], iter(calibration.split(BATCH)), folder / INT8)
            logits = _run_program(int8, pixels)
            check = check._replace(
                int8_accuracy=_compute_fraction(logits.argmax(1) == target),
                int8_agreement=_compute_fraction(logits.argmax(1) == expected.argmax(1)),
            )
        prepared.write(folder / "preparation.json")
        if names:
            shutil.copy(names[0], folder / f"example{Path(names[0]).suffix.lower()}")
        write_card(run, prepared, kind, check, license_id, folder / "README.md")
        os.replace(folder, output)
    return check


def compare(program: Program, pixels: Tensor, expected: Tensor, target: Tensor, name: str) -> ExportCheck:
    """Compare an exported file's logits with the checkpoint's, for a batch of one image and for larger batches.

    Args:
        program: The exported file.
        pixels: (n, channels, height, width) uint8.
        expected: (n, classes), the checkpoint's logits.
        target: (n,) classes.
        name: Name of the file, for the message.

    Raises:
        UserError: If a logit differs by more than `TOLERANCE` times max(1, largest absolute logit).
    """
    logits = _run_program(program, pixels)
    difference = float((logits - expected).abs().max())
    allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
    if not difference <= allowed:
        raise UserError(
            f"{name} was not written: a logit differs from the checkpoint's by {difference:.2e} on {len(pixels)} test "
            f"images, expected at most {allowed:.2e}; try another --format"
        )
    return ExportCheck(len(pixels), difference, _compute_fraction(expected.argmax(1) == target))


def _write(run: Any, model: DeployedStudent, prepared: Preparation, kind: str, file: Path) -> Program:
    if kind == "onnx":
        return write_onnx(model, prepared.image_shape, file)
    if kind == "torch-export":
        return write_torch_export(model, prepared.image_shape, file)
    again = run.student()
    for parameter in again.parameters():
        torch.nn.init.zeros_(parameter)
    return write_safetensors(model, again, prepared, file)


def _run_program(program: Program, pixels: Tensor) -> Tensor:
    return torch.cat([program(batch) for batch in _split_batches(pixels)])


def _split_batches(pixels: Tensor) -> Iterator[Tensor]:
    yield pixels[:1]
    yield from pixels[1:].split(BATCH)


def _compute_fraction(true: Tensor) -> float:
    return float(true.float().mean())


def _take_images(data: Any, split: str, count: int) -> tuple[Tensor, Tensor, list[str]]:
    """Choose ``count`` images of a split, always the same ones.

    Returns:
        Pixels; classes; and a list with the path of the first image. The list is empty if the images are not files.
    """
    from kdlight.data.base.splits import SPLIT_SEED, draw_stratified_order
    from kdlight.data.sources.image_files import ImageFiles

    samples = data.get_split(split)
    order = draw_stratified_order(samples.target, torch.Generator().manual_seed(SPLIT_SEED))[:count].sort().values
    batches = list(samples.fetch_batches(order.split(BATCH)))
    files = [str(samples.get_path(place)) for place in order[:1].tolist()] if isinstance(samples, ImageFiles) else []
    return torch.cat([batch.images for batch in batches]), samples.target[order], files
