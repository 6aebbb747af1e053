"""Draw groups of runs as plotly's interactive figures: curves with bands, points, confusion matrices, class gains."""

import html
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from kdlight.atoms import ATOMS
from kdlight.workbench.compare.groups import RunGroups, select_finished
from kdlight.workbench.compare.over_epochs import average_runs, read_logged
from kdlight.workbench.compare.record import Record
from kdlight.workbench.palette import ARM_COLOURS
from kdlight.workbench.pid_captions import ATOM_LABELS

ATOM_TITLES = dict(zip(ATOMS, ATOM_LABELS.values(), strict=True))
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x")
COLOURS = tuple("#7a7a7a" if colour == "#000000" else colour for colour in ARM_COLOURS)  # black vanishes on dark pages
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
HEIGHT = 300
Series = Callable[[Record], dict[int, float]]


class Band(NamedTuple):
    """A line with a band.

    Attributes:
        mean: The mean over the runs of a group, by epoch counted from 1.
        band: The epochs at which there is a band.
        lower: The lower ends of the band at these epochs.
        upper: The upper ends of the band at these epochs.
    """

    mean: dict[int, float]
    band: list[int]
    lower: list[float]
    upper: list[float]


def name_group(comparison: RunGroups, group: tuple[str, ...]) -> str:
    """Return the name of a group for legends and headings."""
    return ", ".join(group) or comparison.groups[group][0].folder.path.name


def average_curves(runs: Sequence[dict[int, float]], ends: Sequence[tuple[dict[int, float], dict[int, float]]]) -> Band:
    """Average the values of runs at each epoch, see `average_runs`.

    The band is the mean ± one standard deviation over the runs, at the epochs at which several runs have a value. A run
    may log an interval with each value. If only one run has values at all, the band shows its intervals.

    Args:
        runs: For each run, its values by epoch.
        ends: For each run, the lower and the upper ends of its intervals by epoch; empty if it has no intervals.
    """
    averaged = average_runs(runs)
    mean = {epoch: summary.mean for epoch, summary in averaged.items()}
    there = [place for place, run in enumerate(runs) if run]
    if len(there) == 1:
        lower, upper = ends[there[0]] if ends else ({}, {})
        band = [epoch for epoch in averaged if epoch in lower and epoch in upper]
        return Band(mean, band, [lower[epoch] for epoch in band], [upper[epoch] for epoch in band])
    band = [epoch for epoch, summary in averaged.items() if summary.n > 1]
    low, high = ([mean[epoch] + side * averaged[epoch].deviation for epoch in band] for side in (-1, 1))
    return Band(mean, band, low, high)


def draw_curves(comparison: RunGroups, keys: Sequence[str], label: str, factor: float = 1.0) -> go.Figure | None:
    """Draw a logged value over the epochs, with one line per group; return None if no run logged the value.

    Args:
        comparison: The groups.
        keys: Names in the log; for each run, the first one that it logged is drawn.
        label: The label of the vertical axis.
        factor: The number by which the values are multiplied.
    """
    figure = go.Figure()
    for place, (group, runs) in enumerate(comparison.groups.items()):
        values = [read_logged(run, keys, factor) for run in runs]
        bounds = [[f"{key}_{end}" for key in keys] for end in ("lower", "upper")]
        ends = [(read_logged(run, bounds[0], factor), read_logged(run, bounds[1], factor)) for run in runs]
        curve = average_curves(values, ends)
        if not curve.mean:
            continue
        name, colour = name_group(comparison, group), _pick_colour(place)
        if curve.band:
            band = {"x": [*curve.band, *curve.band[::-1]], "y": [*curve.upper, *curve.lower[::-1]]}
            style = {"fill": "toself", "fillcolor": colour, "line": {"width": 0}, "opacity": 0.2, "mode": "lines"}
            figure.add_scatter(
                **band, **style, legendgroup=name, showlegend=False, hoverinfo="skip", name=f"{name} band"
            )
        marks = {"symbol": SYMBOLS[place % len(SYMBOLS)], "size": 6, "color": colour}
        line = {"color": colour, "width": 2, "dash": DASHES[place // len(COLOURS) % len(DASHES)]}
        mode = "lines+markers" if len(curve.mean) <= 25 else "lines"
        figure.add_scatter(
            x=list(curve.mean),
            y=list(curve.mean.values()),
            name=name,
            legendgroup=name,
            mode=mode,
            marker=marks,
            line=line,
        )
    if not figure.data:
        return None
    longest = max(max(trace.x) for trace in figure.data)
    figure.update_xaxes(tick0=1, dtick=math.ceil(longest / 8), tickmode="linear")
    return _frame(figure, "epoch", label)


def draw_points(
    comparison: RunGroups, read: Callable[[Record], float], label: str, reference: Callable[[Record], float] | None
) -> go.Figure | None:
    """Draw a value of each run as a point, with one column per group and a bar up to the group's mean.

    Return None if no run has the value.

    Args:
        comparison: The groups.
        read: Returns the value of a run; NaN if the run has none.
        label: The label of the vertical axis.
        reference: Returns the value of a run's teacher, NaN if there is none. An open diamond shows the mean over the
            teachers of a group's runs. None: do not draw teachers.
    """
    figure = go.Figure()
    for place, (group, runs) in enumerate(comparison.groups.items()):
        name = name_group(comparison, group)
        values = [value for run in select_finished(runs) if not math.isnan(value := read(run))]
        if not values:
            continue
        figure.add_bar(x=[name], y=[float(np.mean(values))], marker_color=_pick_colour(place), name=name, opacity=0.55)
        dots = {"symbol": SYMBOLS[place % len(SYMBOLS)], "color": _pick_colour(place), "size": 8}
        dots["line"] = {"width": 1, "color": "#888888"}
        figure.add_scatter(x=[name] * len(values), y=values, mode="markers", marker=dots, name=f"{name} runs")
        of_teacher = [value for run in select_finished(runs) if reference and not math.isnan(value := reference(run))]
        if of_teacher:
            diamond = {"symbol": "diamond-open", "color": "#888888", "size": 12, "line": {"width": 2}}
            teacher = [float(np.mean(of_teacher))]
            figure.add_scatter(x=[name], y=teacher, mode="markers", marker=diamond, name=f"{name} teacher")
    if not figure.data:
        return None
    return _frame(figure, "", label).update_layout(showlegend=False, margin_t=14)


def draw_confusion(counts: np.ndarray, names: Sequence[str]) -> go.Figure:
    """Draw how the images of each class (row) were classified, in percent of the images of this class.

    Args:
        counts: (classes, classes), summed over runs.
        names: The names of the classes.
    """
    rows = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    labels = _escape_names(names)
    bar = {"title": {"text": "%"}, "thickness": 10}
    shown = "class %{y}, predicted %{x}: %{z:.2f} %<extra></extra>"
    figure = go.Figure(
        go.Heatmap(z=rows.tolist(), x=labels, y=labels, colorscale="Cividis", reversescale=True, zmin=0, zmax=100,
                   colorbar=bar, hovertemplate=shown)
    )  # fmt: skip
    figure = _frame(figure, "predicted", "class").update_layout(height=360, margin_t=14)
    figure.update_xaxes(type="category")
    return figure.update_yaxes(type="category", autorange="reversed")


def draw_class_gains(gains: dict[str, list[float]], names: Sequence[str], places: dict[str, int]) -> go.Figure:
    """Draw by how many percentage points a group's accuracy on each class exceeds the baseline's on the same class.

    Args:
        gains: For each group, the differences of all classes.
        names: The names of the classes.
        places: The place of each group among all groups, which determines its colour.
    """
    figure = go.Figure()
    for group, values in gains.items():
        figure.add_bar(x=_escape_names(names), y=values, name=group, marker_color=_pick_colour(places[group]))
    figure.update_xaxes(type="category")
    return _frame(figure, "class", "percentage points").update_layout(barmode="group", height=340)


def _frame(figure: go.Figure, across: str, upwards: str) -> go.Figure:
    """Give a figure the layout that all figures share, such as a transparent background and a legend above the axes."""
    clear = "rgba(0,0,0,0)"
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    figure.update_layout(
        template="none", paper_bgcolor=clear, plot_bgcolor=clear, height=HEIGHT, legend=legend,
        margin={"l": 56, "r": 12, "t": 44, "b": 52}, font={"size": 13}, hovermode="closest",
    )  # fmt: skip
    figure.update_xaxes(title=across, automargin=True)
    return figure.update_yaxes(title=upwards, automargin=True)


def _escape_names(names: Sequence[str]) -> list[str]:
    """Escape the names of classes, because plotly interprets HTML tags in texts."""
    return [html.escape(str(name), quote=False) for name in names]


def _pick_colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
