"""Predict the classes of image files and of test sets, and write the predictions to a file."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import torch
from torch import Tensor

from kdlight.errors import MissingFileError, UserError
from kdlight.runs.preparation import Preparation

NAMED = 5


class Prediction(NamedTuple):
    """The prediction of a student for an image.

    Attributes:
        file: The image's path; for data in memory, the name of the split and the image's index in the split.
        probabilities: The probability of each class, (classes,).
        target: The true class if it is known, else -1.
    """

    file: str
    probabilities: Tensor
    target: int = -1


def find_preparation(run: Any, changes: Mapping[str, Any] | None = None) -> Preparation:
    """Return how images are prepared for a run's student, from the run's folder or else from the run's data module."""
    if run.files.preparation.is_file():
        return Preparation.read(run.files.preparation)
    return Preparation.of(run.data(changes or {}))


def list_files(given: Iterable[Path]) -> list[Path]:
    """List the given files, and the images below the given folders. The images of each folder are sorted by path.

    Raises:
        MissingFileError: If a file or folder does not exist, or a folder has no images.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS

    files = []
    for path in given:
        if path.is_file():
            files.append(path)
            continue
        if not path.is_dir():
            raise MissingFileError(f"{path} does not exist; expected an image, or a folder of images")
        found = sorted(file for file in path.rglob("*") if _is_image(file.relative_to(path), IMG_EXTENSIONS))
        if not found:
            raise MissingFileError(f"{path} has no images ({', '.join(IMG_EXTENSIONS)}); give files, or another folder")
        files += found
    return files


def _is_image(file: Path, suffixes: tuple[str, ...]) -> bool:
    return file.suffix.lower() in suffixes and not any(part.startswith(".") for part in file.parts)


def predict_files(
    student: torch.nn.Module, prepared: Preparation, files: Sequence[Path], batch_size: int, broken: str
) -> Iterator[Prediction]:
    """Predict image files, batch after batch.

    Args:
        student: A network that returns logits (batch, classes).
        prepared: How images are prepared for the student.
        files: Images of any size and colour mode; they are rotated as their EXIF data say.
        batch_size: Number of images per batch.
        broken: "skip": leave out files that cannot be decoded, and print their number and some names; "refuse": raise
            an error after the last file.

    Raises:
        UserError: If ``batch_size`` is below 1, or if ``broken`` is "refuse" and some files cannot be decoded.
    """
    from kdlight.data.sources.decoding import decode

    if batch_size < 1:
        raise UserError(f"--batch_size: expected at least 1, got {batch_size}")
    bad: list[str] = []
    for start in range(0, len(files), batch_size):
        names, images = [], []
        for file in files[start : start + batch_size]:
            try:
                images.append(prepared.prepare(decode(file)))
                names.append(str(file))
            except UserError:
                bad.append(str(file))
        if images:
            probabilities = _compute_probabilities(student, prepared.normalize(torch.stack(images)))
            for name, values in zip(names, probabilities, strict=True):
                yield Prediction(name, values)
    if not bad:
        return
    said = f"{len(bad)} of {len(files)} files cannot be decoded: {', '.join(bad[:NAMED])}"
    said += ", …" if len(bad) > NAMED else ""
    if broken == "refuse":
        raise UserError(f"{said}; nothing was saved; remove the broken files, or leave them out with --broken skip")
    print(f"kdlight: warning: {said}; they are left out", file=sys.stderr)


def predict_test_set(student: torch.nn.Module, data: Any) -> Iterator[Prediction]:
    """Predict the test set of a data module, batch after batch."""
    from kdlight.data.base.loader import make_evaluation_indices
    from kdlight.data.sources.image_files import ImageFiles

    data.setup("test")
    split = data.get_split("test")
    for batch in split.fetch_batches(make_evaluation_indices(len(split), batch_size=data.eval_batch_size)):
        probabilities = _compute_probabilities(student, data.normalize_batch(batch).images)
        for place, target, values in zip(batch.index.tolist(), batch.target.tolist(), probabilities, strict=True):
            name = str(split.get_path(place)) if isinstance(split, ImageFiles) else f"test/{place}"
            yield Prediction(name, values, target)


@torch.no_grad()
def _compute_probabilities(student: torch.nn.Module, images: Tensor) -> Tensor:
    device = next(student.parameters()).device
    probabilities: Tensor = student(images.to(device)).float().softmax(1).cpu()
    return probabilities


def write_rows(
    predictions: Iterable[Prediction], class_names: Sequence[str], stream: TextIO, *, every_class: bool, lines: bool
) -> int:
    """Write one row per image: its file, the predicted class, this class's probability, and the true class if known.

    Args:
        predictions: The predictions. Either all of them have a known target, or none has.
        class_names: Class names in the order of the probabilities.
        stream: The stream to write to.
        every_class: Add the probabilities of all classes: one column per class in CSV, a mapping by class name in JSON.
        lines: Write JSON lines instead of CSV.

    Returns:
        The number of images.
    """
    count, writer = 0, None
    for count, prediction in enumerate(predictions, start=1):  # noqa: B007  # `count` is returned
        probability, place = prediction.probabilities.max(0)
        row: dict[str, Any] = {"file": prediction.file, "class": class_names[int(place)]}
        row["probability"] = round(float(probability), 6)
        if prediction.target >= 0:
            row["target"] = class_names[prediction.target]
        every = dict(zip(class_names, (round(value, 6) for value in prediction.probabilities.tolist()), strict=True))
        if lines:
            stream.write(json.dumps({**row, **({"probabilities": every} if every_class else {})}) + "\n")
            continue
        if writer is None:
            writer = csv.writer(stream)
            writer.writerow([*row, *(every if every_class else ())])
        writer.writerow([*row.values(), *(every.values() if every_class else ())])
    return count
