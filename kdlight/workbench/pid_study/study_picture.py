"""Draw bias and standard deviation of estimated PID atoms against the number of samples and the number of bins.

The PID (partial information decomposition) splits what two sources tell about a target into four atoms. A bin is one of
the symbols (integers) that a source can take.
"""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlight.information.entropies import Array
from kdlight.workbench import palette
from kdlight.workbench.picture_files import draw_frame, save_picture
from kdlight.workbench.pid_study.joints import make_peaked
from kdlight.workbench.pid_study.repeated_estimates import ATOMS, RepeatedEstimate, repeat_estimate

SIZES = (500, 1_000, 2_000, 5_000, 10_000, 20_000)
BINS = (2, 3, 5, 10, 15)
CLASSES, USUAL_BINS, USUAL_SIZE = 10, 10, 5_000


def save_study_picture(file: Path, repetitions: int) -> None:
    """Estimate the atoms for several numbers of samples and several numbers of bins, and draw the picture.

    Args:
        file: The picture's file. Its suffix decides the format.
        repetitions: How many estimates are made for each number of samples or bins, each from new samples.
    """
    by_size = [repeat_estimate(_make_joint(USUAL_BINS), size, repetitions) for size in SIZES]
    by_bins = [repeat_estimate(_make_joint(bins), USUAL_SIZE, repetitions) for bins in BINS]
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    for column, (places, found) in enumerate(((SIZES, by_size), (BINS, by_bins))):
        _draw_curves(axes[0, column], places, found, "bias")
        _draw_curves(axes[1, column], places, found, "standard deviation")
        axes[1, column].set_xscale("log")
        axes[1, column].set_xticks(places, [f"{place:,}" for place in places])
        axes[1, column].minorticks_off()
    axes[1, 0].set_xlabel(f"samples ({USUAL_BINS} bins per source, {CLASSES} classes)")
    axes[1, 1].set_xlabel(f"bins per source ({USUAL_SIZE:,} samples, {CLASSES} classes)")
    axes[0, 0].set_ylabel("bias, bits")
    axes[1, 0].set_ylabel("standard deviation, bits")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    save_picture(figure, file)


def _make_joint(bins: int) -> Array:
    return make_peaked(CLASSES, bins, copied=0.5, seed=1)


def _draw_curves(axis: Axes, places: Sequence[int], found: Sequence[dict[str, RepeatedEstimate]], shown: str) -> None:
    for style, kind in (("--", "counted"), ("-", "values")):
        for name, label in ATOMS.items():
            estimates = [(result[name].truth, getattr(result[name], kind)) for result in found]
            drawn = [each.mean() - truth if shown == "bias" else each.std(ddof=1) for truth, each in estimates]
            said = f"{label}, {'counted' if kind == 'counted' else 'corrected'}"
            axis.plot(places, drawn, style, marker=palette.MARKERS[name], ms=4, color=palette.ATOMS[name], label=said)
    draw_frame(axis)
