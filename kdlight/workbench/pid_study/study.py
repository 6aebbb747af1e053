"""Measure how far estimated PID atoms are from the true ones: ``python -m kdlight.workbench.pid_study.study``.

The PID (partial information decomposition) splits what two sources tell about a target into four atoms. The study draws
many samples from joint distributions whose PID is known, and estimates the atoms from each sample. It prints a table
that gives for each atom:

- truth: the true value;
- bias counted: the bias of the uncorrected estimate (the PID of the sample's frequencies);
- bias, sd: the bias and the standard deviation of the estimate after correction for bias;
- half-width: half the width of the estimate's interval;
- coverage: how often the interval contains the true value;
- kept: how often the interval contains the estimate from another sample;
- estimable: how often the sample is large enough to estimate the atom.

``--plot`` draws bias and standard deviation against the size of the samples, and against the number of bins (symbols of
a source).
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from kdlight.files import parse_path
from kdlight.information.entropies import Array
from kdlight.workbench.pid_study.joints import make_classifiers, make_clusters, make_peaked, make_sparse
from kdlight.workbench.pid_study.repeated_estimates import ATOMS, HEADINGS, repeat_estimate


def make_joints() -> dict[str, Array]:
    """Return the joint distributions of the table, by name."""
    return {
        "classifiers, 10x10x10": make_classifiers(10, first=0.9, second=0.8, copied=0.6),
        "independent, 10x10x10": np.full((10, 10, 10), 1e-3),
        "conditionally independent, 10x10x10": make_peaked(10, 10),
        "sparse, 10x10x10": make_sparse(10, 10),
        "100 classes in clusters, 10x10x100": make_clusters(100, 10, kept=0.7, copied=0.5),
    }


def format_table(samples: Sequence[int], repetitions: int) -> Iterator[str]:
    """Yield the lines of the table, in Markdown, as they are computed."""
    headings = ("joint", "N", "atom", *HEADINGS)
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    for name, joint in make_joints().items():
        for size in samples:
            for atom, found in repeat_estimate(joint, size, repetitions).items():
                yield f"| {' | '.join([name, f'{size:,}', ATOMS[atom], *found.format_cells()])} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study."""
    parser = argparse.ArgumentParser(
        "python -m kdlight.workbench.pid_study.study",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "--repetitions",
        type=int,
        default=200,
        help="number of samples per distribution and size; for the plot, a quarter of it",
    )
    parser.add_argument(
        "--samples", type=int, nargs="+", default=[10_000, 1_000], metavar="N", help="sizes of the samples"
    )
    parser.add_argument(
        "--plot",
        type=parse_path,
        metavar="FILE",
        help="draw bias and standard deviation against the size of the samples and the number of bins",
    )
    options = parser.parse_args(arguments)
    if options.repetitions < 8 or min(options.samples) < 8:
        print("pid_study: expected at least 8 repetitions, and samples of at least 8 draws", file=sys.stderr)
        return 2
    started = time.process_time()
    for line in format_table(options.samples, options.repetitions):
        print(line, flush=True)
    if options.plot is not None:
        from kdlight.workbench.pid_study.study_picture import save_study_picture

        save_study_picture(options.plot, options.repetitions // 4)
        print(f"saved {options.plot}")
    print(f"{options.repetitions} repetitions, {time.process_time() - started:.0f} seconds of one CPU core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
