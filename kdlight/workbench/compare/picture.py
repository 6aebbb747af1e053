"""The picture of what was transferred: the PID atoms over the epochs, one panel a run."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no screen is needed, and none may be there

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from kdlight.errors import UserError
from kdlight.runs.folder import RunFolder

# Stacked from the bottom: what the teacher knows is the first two, what the student knows the first and the third.
LAYERS = {
    "redundant": ("redundant: transferred", "#1b7f79"),
    "unique_teacher": ("unique to the teacher: left to distil", "#d98c3f"),
    "unique_student": ("unique to the student", "#5b7bb4"),
    "synergistic": ("synergistic: only both reveal it", "#b9b9c3"),
}


def save_pid_picture(runs: Sequence[RunFolder], stage: str, file: Path) -> None:
    """Save the picture.

    Args:
        runs: Runs whose ``metrics.csv`` holds ``pid/<stage>/…``; others are left out.
        stage: The stage.
        file: Where; the suffix says the format.

    Raises:
        UserError: If no run logged the stage, or the format is unknown.
    """
    curves = {run: _curves(run, stage) for run in runs}
    shown = {run: values for run, values in curves.items() if values["epoch"]}
    if not shown:
        raise UserError(f"no run logged pid/{stage}/… over its epochs; without a validation split there is none to log")
    known = plt.gcf().canvas.get_supported_filetypes()
    if file.suffix.removeprefix(".") not in known:
        raise UserError(f"{file}: expected a picture format among {', '.join(sorted(known))}, got '{file.suffix}'")
    figure, axes = plt.subplots(
        1, len(shown), figsize=(max(3.6 * len(shown) + 0.8, 8.0), 3.8), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (run, values) in zip(axes[0], shown.items(), strict=True):
        _panel(axis, values)
        axis.set_title(run.path.name)
    axes[0][0].set_ylabel(f"information about the label in {stage}, bits")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _curves(run: RunFolder, stage: str) -> dict[str, list[float]]:
    wanted = [*LAYERS, "information_teacher", "information_student"]
    rows = {epoch: row for epoch, row in run.read_metrics().items() if f"pid/{stage}/redundant" in row}
    return {"epoch": [epoch + 1.0 for epoch in rows]} | {
        name: [row[f"pid/{stage}/{name}"] for row in rows.values()] for name in wanted
    }


def _panel(axis: Axes, values: dict[str, list[float]]) -> None:
    layers = [values[name] for name in LAYERS]
    labels = [label for label, _ in LAYERS.values()]
    axis.stackplot(values["epoch"], *layers, labels=labels, colors=[colour for _, colour in LAYERS.values()], alpha=0.9)
    axis.plot(values["epoch"], values["information_teacher"], "k--", lw=1.2, label="I(Y; teacher)")
    axis.plot(values["epoch"], values["information_student"], "k-", lw=1.6, label="I(Y; student)")
    axis.set_xlabel("epoch")
    if len(values["epoch"]) > 1:
        axis.set_xlim(values["epoch"][0], values["epoch"][-1])
    else:  # one measurement is no area: draw it as a bar
        low = 0.0
        for name, (_, colour) in LAYERS.items():
            axis.bar(values["epoch"], values[name], bottom=low, color=colour, alpha=0.9)
            low += values[name][0]
    axis.spines[["top", "right"]].set_visible(False)
