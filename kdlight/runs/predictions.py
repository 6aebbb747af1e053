"""``predictions.csv``: the student's prediction for each image of the test set."""

import csv
from collections.abc import Sequence
from typing import Any

import torch.distributed

from kdlight.files import replace_file
from kdlight.processes import gather_object, is_distributed
from kdlight.runs.folder import RunFolder

KEYS = ("index", "target", "probabilities")


def write_predictions(batches: Sequence[dict[str, Any]], class_names: Sequence[str], folder: RunFolder) -> None:
    """Write one row per image: its index in the test set, its true and predicted class, and each class's probability.

    Args:
        batches: The results of `Learner.predict_step`. If there are several processes, each one passes its own results.
        class_names: Names of the classes, which become the names of the columns.
        folder: The run's folder.
    """
    shares = gather_object(batches)
    if is_distributed() and torch.distributed.get_rank() > 0:
        return
    rows = [
        [index, target, max(range(len(values)), key=values.__getitem__), *(f"{value:.6g}" for value in values)]
        for share in shares
        for batch in share
        for index, target, values in zip(*(batch[key].tolist() for key in KEYS), strict=True)
    ]
    folder.path.mkdir(parents=True, exist_ok=True)
    with replace_file(folder.predictions) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["index", "target", "prediction", *class_names])
        writer.writerows(sorted(rows))
