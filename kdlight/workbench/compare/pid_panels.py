"""Draw the atoms of the PID over the epochs, in a panel for each run.

The PID (partial information decomposition) splits what teacher and student tell about the label into four atoms.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlight.errors import UserError
from kdlight.information.estimated_pid import EstimatedPID
from kdlight.measuring.report import StageReport
from kdlight.workbench.compare.over_epochs import SPLITS
from kdlight.workbench.compare.record import Record
from kdlight.workbench.palette import ATOMS, LIMIT, MARKERS, REFERENCE
from kdlight.workbench.picture_files import draw_frame, require_format, save_picture
from kdlight.workbench.pid_captions import ATOM_LABELS, INTERVAL, describe_symbols

__all__ = ["save_pid_picture"]

INFORMATIONS = {"information_first": ("I(Y; teacher)", "--"), "information_second": ("I(Y; student)", "-")}


class PidCurve(NamedTuple):
    """The PIDs that a run logged for a stage.

    Attributes:
        epochs: The epochs in which the PIDs were measured, counted from 1.
        measured: The PIDs, one for each of these epochs.
        split: The prefix of the logged values, "pid" (validation images) or "pid_train" (training images); empty if
            the run logged no PID.
    """

    epochs: list[int]
    measured: list[EstimatedPID]
    split: str


def save_pid_picture(runs: Sequence[Record], stage: str, file: Path) -> None:
    """Save a picture of the bias-corrected atoms: a mark for each value, and a band for the values' 95 % intervals.

    Args:
        runs: Finished runs; those that logged neither ``pid/<stage>/…`` nor ``pid_train/<stage>/…`` are left out.
        stage: The name of the stage whose PID is drawn.
        file: The path of the picture; its suffix determines the format.

    Raises:
        UserError: If no run logged the stage, or the format is unknown.
    """
    require_format(file)
    curves = [(run, _read_curve(run, stage)) for run in runs]
    shown = [(run, curve) for run, curve in curves if curve.epochs]
    if not shown:
        raise UserError(
            f"no run logged pid/{stage}/… or pid_train/{stage}/… over its epochs; add the callback PIDMonitor"
        )
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(max(3.6 * columns + 0.8, 8.0), 3.4 * rows + 1.0), layout="constrained")
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for axis, (run, curve) in zip(axes.flat, shown, strict=False):
        _draw_panel(axis, curve)
        folder = run.folder.path
        axis.set_title(f"{folder.parent.name}, {folder.name}" if run.axes else folder.name)
    for row in axes:
        row[0].set_ylabel(f"information about the label in {stage}, bits")
    labelled = dict(zip(*reversed(axes.flat[0].get_legend_handles_labels()), strict=True))
    figure.legend(labelled.values(), labelled, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    save_picture(figure, file, _write_caption(*shown[0], stage))


def _read_curve(run: Record, stage: str) -> PidCurve:
    rows = run.read_metrics()
    for split in SPLITS:
        prefix = f"{split}/{stage}/"
        logged = {epoch: row for epoch, row in rows.items() if f"{prefix}label_entropy" in row}
        if logged:
            reports = [StageReport.from_dict(row, prefix).pid for row in logged.values()]
            return PidCurve([epoch + 1 for epoch in logged], reports, split)
    return PidCurve([], [], "")


def _draw_panel(axis: Axes, curve: PidCurve) -> None:
    for name, label in ATOM_LABELS.items():
        found = [
            (epoch, getattr(pid, name)) for epoch, pid in zip(curve.epochs, curve.measured, strict=True)
            if getattr(pid, name).estimable
        ]  # fmt: skip
        if not found:
            continue
        epochs = [epoch for epoch, _ in found]
        values, lower, upper = ([getattr(each, part) for _, each in found] for part in ("value", "lower", "upper"))
        axis.fill_between(epochs, lower, upper, color=ATOMS[name], alpha=0.22, lw=0)
        axis.plot(epochs, values, color=ATOMS[name], marker=MARKERS[name], ms=4, lw=1.4, label=label)
    for name, (label, style) in INFORMATIONS.items():
        values = [getattr(pid, name).value for pid in curve.measured]
        axis.plot(curve.epochs, values, color=REFERENCE, ls=style, lw=1.1, label=label)
    last = curve.measured[-1]
    axis.axhline(last.target_entropy, color=LIMIT, lw=1, ls="-.", label="H(Y)")
    cap = min(last.cap_first, last.cap_second)
    if cap < last.target_entropy - 0.01:
        axis.axhline(cap, color=LIMIT, lw=1, ls=":", label="cap: log2 of the number of symbols")
    axis.set_xlabel("epoch")
    draw_frame(axis)


def _write_caption(run: Record, curve: PidCurve, stage: str) -> str:
    data = str(run.settings.get("data") or "").removesuffix("DataModule")
    settings: Mapping[str, Any] = next(iter(run.result.get("pid_settings", {}).values()), {})
    clusters = settings.get("clusters", "")
    clusters = clusters.get(stage, "") if isinstance(clusters, Mapping) else clusters
    split = "validation images" if curve.split == "pid" else "training images (no validation split)"
    said = [data, f"{settings['samples']:,} {split}" if "samples" in settings else split]
    said += [describe_symbols(settings["symbols"], clusters, settings["repeats"])] if settings else []
    said += ["values corrected for bias", f"bands: {INTERVAL}"]
    return "; ".join([part for part in said if part])
