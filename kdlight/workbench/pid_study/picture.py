"""The picture of the study: bias and standard deviation of the atoms against samples and bins."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no screen is needed, and none may be there

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from kdlight.information.entropies import Array
from kdlight.workbench.pid_study.estimates import ATOMS, Estimates, estimated
from kdlight.workbench.pid_study.joints import peaked

COLOURS = ("#1b7f79", "#d98c3f", "#5b7bb4", "#8a8a96")
SIZES = (500, 1_000, 2_000, 5_000, 10_000, 20_000)
BINS = (2, 3, 5, 10, 15)
CLASSES, USUAL_BINS, USUAL_SIZE = 10, 10, 5_000


def save_study_picture(file: Path, repetitions: int) -> None:
    """Estimate over ranges of samples and bins, and save the picture; its suffix says the format."""
    by_size = [estimated(_joint(USUAL_BINS), size, repetitions) for size in SIZES]
    by_bins = [estimated(_joint(bins), USUAL_SIZE, repetitions) for bins in BINS]
    figure, axes = plt.subplots(2, 2, figsize=(9, 6), sharex="col", sharey="row", layout="constrained")
    for column, (places, found) in enumerate(((SIZES, by_size), (BINS, by_bins))):
        _curves(axes[0, column], places, found, "bias")
        _curves(axes[1, column], places, found, "standard deviation")
        axes[1, column].set_xscale("log")
        axes[1, column].set_xticks(places, [f"{place:,}" for place in places])
        axes[1, column].minorticks_off()
    axes[1, 0].set_xlabel(f"samples ({USUAL_BINS} bins a source, {CLASSES} classes)")
    axes[1, 1].set_xlabel(f"bins a source ({USUAL_SIZE:,} samples, {CLASSES} classes)")
    axes[0, 0].set_ylabel("bias, bits")
    axes[1, 0].set_ylabel("standard deviation, bits")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _joint(bins: int) -> Array:
    return peaked(CLASSES, bins, copied=0.5, seed=1)


def _curves(axis: Axes, places: Sequence[int], found: Sequence[Estimates], shown: str) -> None:
    for style, kind in (("--", "plug_in"), ("-", "corrected")):
        for place, (atom, colour) in enumerate(zip(ATOMS, COLOURS, strict=True)):
            estimates = [(result, getattr(result, kind)) for result in found]
            values = [
                result.bias(values)[place] if shown == "bias" else values[:, place].std(ddof=1)
                for result, values in estimates
            ]
            axis.plot(places, values, style, marker="o", ms=3, color=colour, label=f"{atom}, {kind.replace('_', '-')}")
    if shown == "bias":
        axis.axhline(0, color="black", lw=0.6)
    axis.spines[["top", "right"]].set_visible(False)
