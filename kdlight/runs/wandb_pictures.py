"""Pictures of a run for Weights & Biases: the confusion matrix, and the PID of each measured stage over the epochs.

The PID (partial information decomposition) divides what teacher and student tell about the class into four atoms:
redundant (both tell it), unique to the teacher, unique to the student, and synergistic (only both together tell it).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from kdlight.atoms import ATOMS

# Colours that the colour-blind can tell apart (Okabe and Ito, 2008).
COLOURS = dict(zip(ATOMS, ("#0072B2", "#D55E00", "#009E73", "#999999"), strict=True))


def draw_confusion(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Figure:
    """Draw the confusion matrix: numbers of images by true class (row) and predicted class (column).

    Args:
        counts: Numbers of images, (classes, classes).
        names: Names of the classes; they are not drawn if there are more than 30.
    """
    figure = Figure(figsize=(7, 6), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(np.asarray(counts), cmap="Blues")
    figure.colorbar(image, label="test images")
    axis.set(xlabel="predicted", ylabel="class")
    if len(names) <= 30:
        axis.set_xticks(range(len(names)), names, rotation=90)
        axis.set_yticks(range(len(names)), names)
    return figure


def draw_pid(rows: Mapping[int, Mapping[str, float]]) -> dict[str, Figure]:
    """Draw the PID's atoms over the epochs, one figure for each measured stage.

    Each atom is a curve. The band around the curve is the atom's 95 % interval.

    Args:
        rows: The logged metrics of each epoch, by the number of the epoch, which is counted from 0.

    Returns:
        The figures by the name of the stage.
    """
    keys = dict.fromkeys(
        name.rpartition("/")[0] for row in rows.values() for name in row if name.endswith("/redundant")
    )
    return {key.partition("/")[2]: _draw_stage(rows, key) for key in keys}


def _draw_stage(rows: Mapping[int, Mapping[str, float]], stage: str) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for atom, colour in COLOURS.items():
        key = f"{stage}/{atom}"
        epochs = [epoch for epoch, row in rows.items() if key in row]
        values = [rows[epoch][key] for epoch in epochs]
        axis.plot([epoch + 1 for epoch in epochs], values, "o-", color=colour, label=atom.replace("_", " "), ms=3)
        lower, upper = (
            [rows[epoch].get(f"{key}_{end}", float("nan")) for epoch in epochs] for end in ("lower", "upper")
        )
        axis.fill_between([epoch + 1 for epoch in epochs], lower, upper, color=colour, alpha=0.2, lw=0)
    axis.set(xlabel="epoch", ylabel="bits", title=stage)
    axis.legend(frameon=False)
    return figure
