"""Draw pictures of groups of runs: curves over the epochs, bars, and test accuracy against redundancy.

The runs of a group differ only in their seed. The PID (partial information decomposition) splits what teacher and
student tell about the label into four atoms. One of these is the redundancy: what the teacher tells and the student
tells, too.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlight.atoms import ATOMS
from kdlight.errors import UserError
from kdlight.workbench.compare.groups import RunGroups, select_finished
from kdlight.workbench.compare.measures import MEASURES
from kdlight.workbench.compare.over_epochs import average_runs, pid_keys, read_logged
from kdlight.workbench.palette import ARM_COLOURS, ARM_MARKERS
from kdlight.workbench.picture_files import draw_frame, require_format, save_picture

LABELS = dict(zip(ATOMS, ("redundant", "unique to the teacher", "unique to the student", "synergistic"), strict=True))


def save_curves(comparison: RunGroups, file: Path) -> None:
    """Save validation accuracy and atoms over the epochs: means of the groups, with bands of one standard deviation.

    Args:
        comparison: The groups.
        file: The picture. Its suffix determines the format.

    Raises:
        UserError: If no run logged an accuracy or a PID, or the format is unknown.
    """
    require_format(file)
    panels: dict[str, tuple[list[str], float]] = {"validation accuracy, %": (["val/accuracy"], 100.0)}
    panels |= {f"{label}, bits": (pid_keys(comparison.stage, name), 1.0) for name, label in LABELS.items()}
    curves = {
        label: [[read_logged(run, keys, factor) for run in runs] for runs in comparison.groups.values()]
        for label, (keys, factor) in panels.items()
    }
    shown = {label: groups for label, groups in curves.items() if any(run for runs in groups for run in runs)}
    if not shown:
        raise UserError("no run logged an accuracy or a PID over its epochs, so there are no curves to draw")
    figure = Figure(figsize=(max(3.4 * len(shown), 7.0), 4.2), layout="constrained")
    for axis, (label, groups) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
        for place, runs in enumerate(groups):
            _draw_curve(axis, runs, place)
        axis.set(title=label, xlabel="epoch")
        draw_frame(axis)
    _draw_legend(figure, comparison)
    stage = f"PID of {comparison.stage}, corrected for bias; " if comparison.stage else ""
    save_picture(
        figure,
        file,
        f"{stage}lines: means over the seeds that have a value; bands: one standard deviation; marks: measured epochs",
    )


def save_bars(comparison: RunGroups, file: Path) -> None:
    """Save accuracy and atoms on the test set as bars, with a whisker of one standard deviation over the seeds.

    Raises:
        UserError: If the format is unknown.
    """
    require_format(file)
    groups = comparison.groups
    names = [name for name in ("last", *ATOMS) if any(comparison.summarise(group, name).n for group in groups)]
    figure = Figure(figsize=(2.6 * len(names) + 0.5, 4.2), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for place, (group, runs) in enumerate(comparison.groups.items()):
            summary = comparison.summarise(group, name)
            deviation = None if math.isnan(summary.deviation) else summary.deviation
            axis.bar(place, summary.mean, yerr=deviation, color=_pick_colour(place), capsize=4, width=0.7)
            values = [MEASURES[name].read(run.result, comparison.stage) for run in select_finished(runs)]
            axis.plot([place] * len(values), values, ".", color="black", ms=5)
        if name == "last":
            _begin_near_the_smallest(axis, comparison)
        axis.set(title="test accuracy, %" if name == "last" else f"{LABELS[name]}, bits", xticks=[])
        draw_frame(axis)
    _draw_legend(figure, comparison)
    save_picture(figure, file, "bars: means over seeds; whiskers: one standard deviation; points: runs")


def save_scatter(comparison: RunGroups, file: Path) -> None:
    """Save test accuracy (vertical axis) against redundancy (horizontal axis), one mark per run.

    Raises:
        UserError: If no run has both numbers, or the format is unknown.
    """
    require_format(file)
    figure = Figure(figsize=(5.5, 4.8), layout="constrained")
    axis = figure.subplots()
    drawn = 0
    for place, runs in enumerate(comparison.groups.values()):
        points = [
            tuple(MEASURES[name].read(run.result, comparison.stage) for name in ("redundant", "last"))
            for run in select_finished(runs)
        ]
        there = [point for point in points if not any(map(math.isnan, point))]
        drawn += len(there)
        if there:
            axis.plot(*zip(*there, strict=True), ls="", marker=_pick_marker(place), color=_pick_colour(place), ms=8)
    if not drawn:
        raise UserError("no run has both a test accuracy and a redundancy, so there is nothing to scatter")
    axis.set(xlabel=f"redundant information of {comparison.stage}, bits", ylabel="test accuracy, %")
    axis.spines[["top", "right"]].set_visible(False)
    _draw_legend(figure, comparison)
    save_picture(figure, file, "one mark per run, measured on the test set with the weights of the last epoch")


def _draw_curve(axis: Axes, runs: Sequence[dict[int, float]], place: int) -> None:
    """Draw the mean over the runs, and a band of one standard deviation at epochs with values of at least two runs."""
    averaged = average_runs(runs)
    if not averaged:
        return
    band = {epoch: summary for epoch, summary in averaged.items() if summary.n > 1}
    lower, upper = ([each.mean + side * each.deviation for each in band.values()] for side in (-1, 1))
    axis.fill_between(list(band), lower, upper, color=_pick_colour(place), alpha=0.2, lw=0)
    marker = _pick_marker(place) if len(averaged) <= 25 else None
    means = [summary.mean for summary in averaged.values()]
    axis.plot(list(averaged), means, color=_pick_colour(place), marker=marker, ms=4, lw=1.4)


def _begin_near_the_smallest(axis: Axes, comparison: RunGroups) -> None:
    """Let the axis begin a little below the smallest accuracy: if it began at 0, all bars would look equally high."""
    runs = [run for group in comparison.groups.values() for run in select_finished(group)]
    smallest = min(MEASURES["last"].read(run.result, comparison.stage) for run in runs)
    axis.set_ylim(bottom=max(0.0, 5 * math.floor(smallest / 5) - 5))


def _draw_legend(figure: Figure, comparison: RunGroups) -> None:
    from matplotlib.lines import Line2D

    names = [", ".join(group) or "runs" for group in comparison.groups]
    lines = [Line2D([], [], color=_pick_colour(place), marker=_pick_marker(place), ms=6) for place in range(len(names))]
    columns = min(len(names), 5)
    figure.legend(lines, names, loc="outside upper center", ncols=columns, frameon=False, fontsize=9)


def _pick_colour(place: int) -> str:
    return ARM_COLOURS[place % len(ARM_COLOURS)]


def _pick_marker(place: int) -> str:
    return ARM_MARKERS[place % len(ARM_MARKERS)]
