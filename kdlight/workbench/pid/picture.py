"""The pictures of ``kdlight pid``: bars of four atoms, or heat maps of each stage against each."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no screen is needed, and none may be there

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlight.errors import UserError

BARS = {
    "redundant": ("redundant", "#1b7f79"),
    "unique_first": ("unique to\nthe first", "#d98c3f"),
    "unique_second": ("unique to\nthe second", "#5b7bb4"),
    "synergistic": ("synergistic", "#b9b9c3"),
}
MAPS = {
    "redundant": "redundant: transferred",
    "unique_teacher": "unique to the teacher: left to distil",
    "unique_student": "unique to the student",
}


def require_format(file: Path) -> None:
    """Refuse a file whose suffix names no format of pictures.

    Raises:
        UserError: If it does not.
    """
    known = Figure().canvas.get_supported_filetypes()
    if file.suffix.removeprefix(".") not in known:
        raise UserError(f"{file}: expected a picture format among {', '.join(sorted(known))}, got '{file.suffix}'")


def save_report_picture(report: dict[str, Any], file: Path) -> None:
    """Save the picture of what `compare_arrays` or `compare_networks` measured; the suffix says the format."""
    figure = _heat_maps(report) if "matrix" in report else _bars(report)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _bars(report: dict[str, Any]) -> Figure:
    atoms = report["atoms"]
    figure, axis = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
    middle = [atoms[f"{name}_corrected"] for name in BARS]
    half = [atoms[f"{name}_upper"] - atoms[f"{name}_corrected"] for name in BARS]
    labels, colours = zip(*BARS.values(), strict=True)
    axis.bar(labels, middle, yerr=half, capsize=4, color=colours, label="corrected, 95 %")
    axis.plot(labels, [atoms[name] for name in BARS], "k_", ms=18, label="as counted")
    axis.axhline(0, color="black", lw=0.6)
    axis.set_ylabel("information about the target, bits")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _heat_maps(report: dict[str, Any]) -> Figure:
    matrix = report["matrix"]
    teachers, students = list(matrix), list(next(iter(matrix.values())))
    figure, axes = plt.subplots(
        1, len(MAPS), figsize=(0.8 * len(students) * len(MAPS) + 2.6, 0.62 * len(teachers) + 1.7), sharey=True,
        layout="constrained",
    )  # fmt: skip
    values = {
        name: np.array([[cell[f"{name}_corrected"] for cell in row.values()] for row in matrix.values()])
        for name in MAPS
    }
    top = max(float(table.max()) for table in values.values())
    for axis, (name, title) in zip(axes, MAPS.items(), strict=True):
        image = axis.imshow(values[name], vmin=0, vmax=max(top, 1e-9), cmap="YlGnBu", aspect="auto")
        _annotate(axis, values[name], top)
        axis.set_title(title, fontsize=10)
        axis.set_xticks(range(len(students)), students, rotation=40, ha="right")
        axis.set_yticks(range(len(teachers)), teachers)
        axis.set_xlabel("student")
    axes[0].set_ylabel("teacher")
    figure.colorbar(image, ax=axes, label="bits about the label")
    return figure


def _annotate(axis: Axes, table: Any, top: float) -> None:
    for (row, column), value in np.ndenumerate(table):
        colour = "white" if value > 0.6 * top else "black"
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=9)
