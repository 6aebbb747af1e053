"""The panels and pictures of a run's PID in a dashboard such as Weights & Biases.

The PID (partial information decomposition) divides what teacher and student tell about the class into four atoms:
redundant (both tell it), unique to the teacher, unique to the student, and synergistic (only both together tell it).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kdlight.atoms import ATOMS

if TYPE_CHECKING:  # matplotlib is slow to import
    from matplotlib.figure import Figure

# Colours that the colour-blind can tell apart (Okabe and Ito, 2008).
COLOURS = dict(zip(ATOMS, ("#0072B2", "#D55E00", "#009E73", "#999999"), strict=True))
PREFIXES = ("pid", "pid_train", "pid_test")  # how the keys of logged PID values begin


class PIDPictures:
    """The part of `PIDMonitor` for W&B: a `PanelSource` and a `PictureSource`, see kdlight/runs/wandb_record.py."""

    def list_panels(self, stages: int) -> dict[str, bool]:
        """Return for each key of logged values whether it gets a panel. A key may end in ``*``.

        Only the atoms of stages and logits that are measured during training get panels.

        Args:
            stages: The student's number of stages, which are logged as stage1, stage2, ….
        """
        panels = {f"{prefix}/*": False for prefix in PREFIXES}
        for stage in [*(f"stage{number + 1}" for number in range(stages)), "logits"]:
            panels |= {f"{prefix}/{stage}/{atom}": True for atom in ATOMS for prefix in ("pid", "pid_train")}
        return panels

    def draw_pictures(self, rows: Mapping[int, Mapping[str, float]]) -> dict[str, "Figure"]:
        """Draw the PID's atoms over the epochs, one figure for each measured stage.

        Each atom is a curve. The band around the curve is the atom's 95 % interval.

        Args:
            rows: The logged metrics of each epoch, by the number of the epoch, which is counted from 0.

        Returns:
            The figures by name, such as ``pid_stage3``.
        """
        names = dict.fromkeys(name for row in rows.values() for name in row if name.endswith("/redundant"))
        keys = [name.rpartition("/")[0] for name in names if name.partition("/")[0] in PREFIXES]
        return {f"pid_{key.partition('/')[2]}": _draw_stage(rows, key) for key in keys}


def _draw_stage(rows: Mapping[int, Mapping[str, float]], stage: str) -> "Figure":
    from matplotlib.figure import Figure

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
