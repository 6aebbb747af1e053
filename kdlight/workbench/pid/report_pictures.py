"""The pictures of ``kdlight pid``: bars of the four atoms, heat maps over pairs of stages, or ranked teachers.

The atoms are the four parts of the information that two sources have about a target: redundant information, information
unique to the first source, information unique to the second source, and synergistic information.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlight.information.estimated_pid import Estimate
from kdlight.measuring.report import StageReport
from kdlight.workbench.palette import ATOMS, LIMIT, MAP, MARKERS
from kdlight.workbench.picture_files import draw_frame, save_picture
from kdlight.workbench.pid.arrays import ArrayReport
from kdlight.workbench.pid.networks import Matrix, Ranking
from kdlight.workbench.pid.report_tables import describe_circumstances
from kdlight.workbench.pid_captions import ATOM_LABELS, INTERVAL

__all__ = ["save_report_picture"]

BARS = {
    "redundant": "redundant",
    "unique_first": "unique to\nthe first",
    "unique_second": "unique to\nthe second",
    "synergistic": "synergistic",
}
MAPS = {name: ATOM_LABELS[name] for name in ("redundant", "unique_first", "unique_second")}
RANKED = {
    "unique_first": "unique to the teacher: the student could still learn it",
    "redundant": "redundant: both have it",
    "unique_second": ATOM_LABELS["unique_second"],
}


def save_report_picture(report: Matrix | Ranking | ArrayReport, file: Path) -> None:
    """Save the picture of a report in the format that the file's suffix names."""
    if isinstance(report, ArrayReport):
        figure, caption = _draw_bars(report), f"{report.pid.samples:,} samples"
    elif isinstance(report, Matrix):
        figure, caption = _draw_heat_maps(report), describe_circumstances(report.circumstances)
    else:
        figure, caption = _draw_ranking(report), f"{report.place}; {describe_circumstances(report.circumstances)}"
    save_picture(figure, file, f"{caption}; values corrected for bias; error bars or ±: {INTERVAL}")


def _draw_limits(axis: Axes, entropy: float, cap: float, name: str = "Y") -> None:
    """Draw a line at the target's entropy, which no information about the target exceeds.

    If the cap is lower than the entropy, draw a line at the cap, too.

    Args:
        axis: The axes to draw on.
        entropy: The target's entropy.
        cap: An upper bound of the redundant information: log2 of the number of symbols of the source that has fewer
            symbols.
        name: The name of the target.
    """
    axis.axhline(entropy, color=LIMIT, lw=1, ls="-.", label=f"H({name}) = {entropy:.2f}")
    if cap < entropy - 0.01:
        axis.axhline(cap, color=LIMIT, lw=1, ls=":", label=f"cap of the symbols = {cap:.2f}")


def _draw_bars(report: ArrayReport) -> Figure:
    figure = Figure(figsize=(5.6, 4.0), layout="constrained")
    axis = figure.subplots()
    for place, name in enumerate(BARS):
        estimate: Estimate = getattr(report.pid, name)
        if estimate.estimable:
            half = [[estimate.value - estimate.lower], [estimate.upper - estimate.value]]
            axis.bar(place, estimate.value, yerr=half, capsize=4, color=ATOMS[name], edgecolor="black", lw=0.6)
        else:
            axis.text(place, 0, "not\nestimable", ha="center", va="bottom", fontsize=8)
    axis.set_xticks(range(len(BARS)), list(BARS.values()))
    _draw_limits(axis, report.pid.target_entropy, min(report.pid.cap_first, report.pid.cap_second), "target")
    axis.set_ylabel("information about the target, bits")
    axis.legend(frameon=False, fontsize=8)
    draw_frame(axis)
    return figure


def _draw_heat_maps(report: Matrix) -> Figure:
    teachers, students = list(report.cells), list(next(iter(report.cells.values())))
    size = (1.0 * len(students) * len(MAPS) + 2.6, 0.62 * len(teachers) + 2.0)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(MAPS), sharey=True)
    tables = {
        name: [[getattr(cell.pid, name) for cell in row.values()] for row in report.cells.values()] for name in MAPS
    }
    values = {
        name: np.array([[cell.value if cell.estimable else np.nan for cell in row] for row in table])
        for name, table in tables.items()
    }
    top = max([1e-9, *(float(np.nanmax(table)) for table in values.values() if not np.isnan(table).all())])
    for axis, (name, title) in zip(axes, MAPS.items(), strict=True):
        image = axis.imshow(values[name], vmin=0, vmax=top, cmap=MAP, aspect="auto")
        for row, cells in enumerate(tables[name]):
            for column, cell in enumerate(cells):
                _annotate(axis, column, row, cell, top)
        axis.set_title(title, fontsize=10)
        axis.set_xticks(range(len(students)), students, rotation=40, ha="right")
        axis.set_yticks(range(len(teachers)), teachers)
        axis.set_xlabel("student")
    axes[0].set_ylabel("teacher")
    figure.colorbar(image, ax=axes, label="bits about the label")
    return figure


def _annotate(axis: Axes, column: int, row: int, cell: Estimate, top: float) -> None:
    text = f"{cell.value:.2f}\n±{cell.upper - cell.value:.2f}" if cell.estimable else "–"
    colour = "white" if cell.estimable and cell.value > 0.55 * top else "black"
    axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)


def _draw_ranking(report: Ranking) -> Figure:
    names = list(report.teachers)[::-1]
    figure = Figure(figsize=(7.5, 0.55 * len(names) + 2.2), layout="constrained")
    axis = figure.subplots()
    for offset, (name, label) in zip((0.2, 0.0, -0.2), RANKED.items(), strict=True):
        shown = [(place, getattr(report.teachers[teacher].pid, name)) for place, teacher in enumerate(names)]
        kept = [(place + offset, estimate) for place, estimate in shown if estimate.estimable]
        axis.errorbar(
            [estimate.value for _, estimate in kept],
            [place for place, _ in kept],
            xerr=[[estimate.value - estimate.lower for _, estimate in kept]] * 2,
            fmt=MARKERS[name],
            color=ATOMS[name],
            capsize=3,
            ms=6,
            label=label,
        )
    first: StageReport = next(iter(report.teachers.values()))
    axis.axvline(first.pid.target_entropy, color=LIMIT, lw=1, ls="-.", label=f"H(Y) = {first.pid.target_entropy:.2f}")
    cap = min(min(each.pid.cap_first, each.pid.cap_second) for each in report.teachers.values())
    if cap < first.pid.target_entropy - 0.01:
        axis.axvline(cap, color=LIMIT, lw=1, ls=":", label=f"cap of the symbols = {cap:.2f}")
    axis.axvline(0, color="black", lw=0.6)
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("information about the label, bits")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure
