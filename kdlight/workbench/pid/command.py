"""``kdlight pid``: the partial information decomposition of finished networks, or of arrays, about a label.

Of arrays: integers of shape (samples,) are symbols; anything else are features (samples, …), whose clusters are fitted
on one half of the samples, drawn at random, and counted on the other. Of networks: clusters are fitted on training
images and counted on the split; each stage of the teacher is compared with each of the student.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kdlight.errors import MissingFileError, UserError
from kdlight.files import given_path
from kdlight.information.atoms import estimated_atoms
from kdlight.information.discretizer import Discretizer
from kdlight.information.histogram import joint_histogram
from kdlight.information.redundancies import i_min, i_mmi
from kdlight.workbench.changes import read_changes

METHODS = ("kmeans", "quantile", "probe", "predictions")
USAGE = """kdlight pid --first A.npy --second B.npy --target Y.npy [OPTIONS]
       kdlight pid --student RUN [--teacher RUN] [--data.KEY VALUE] [OPTIONS]"""


class Settings(NamedTuple):
    """How features become symbols and symbols a report."""

    symbols: Any
    clusters: int
    components: int
    seed: int
    tolerance: float


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "kdlight pid", USAGE, description=(__doc__ or "").partition(": ")[2], allow_abbrev=False
    )
    arrays = parser.add_argument_group("arrays")
    for name in ("first", "second", "target"):
        arrays.add_argument(f"--{name}", type=given_path, metavar="FILE.npy")
    networks = parser.add_argument_group("networks")
    networks.add_argument(
        "--student", type=given_path, metavar="RUN", help="folder of a finished run, or a checkpoint in it"
    )
    networks.add_argument(
        "--teacher",
        type=given_path,
        metavar="RUN",
        help="likewise, or other weights for the teacher of the student's run; its own by default",
    )
    networks.add_argument("--split", choices=("test", "val"), default="test", help="images that are counted")
    networks.add_argument("--samples", type=int, metavar="N", help="how many of them; all by default")
    networks.add_argument(
        "--fit_samples", type=int, default=2_000, metavar="N", help="training images for the clusters"
    )
    parser.add_argument("--symbols", choices=METHODS, default="kmeans", help="how features become symbols")
    parser.add_argument("--clusters", type=int, default=4, metavar="N", help="symbols of kmeans and quantile")
    parser.add_argument("--components", type=int, default=10, metavar="N", help="principal components before that")
    parser.add_argument("--seed", type=int, default=0, help="of the clustering and the resampling")
    parser.add_argument("--tolerance", type=float, default=1e-6, metavar="BITS", help="of the decomposition")
    parser.add_argument("--json", type=given_path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--plot", type=given_path, metavar="FILE", help="save a picture; its suffix says the format")
    options, others = parser.parse_known_args(arguments[1:])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", message=".*fewer than 5 a cell")
        _run(options, others)
    for message in sorted({str(warning.message) for warning in caught}):
        print(f"kdlight: {message}", file=sys.stderr)


def _run(options: argparse.Namespace, others: list[str]) -> None:
    if options.plot is not None:
        from kdlight.workbench.pid.picture import require_format

        require_format(options.plot)
    settings = Settings(*(getattr(options, name) for name in Settings._fields))
    given = {name: getattr(options, name) for name in ("first", "second", "target")}
    if options.student is not None and not any(given.values()):
        from kdlight.workbench.pid.networks import compare_networks

        report: Any = compare_networks(options, settings, read_changes(others, "kdlight pid"))
    elif all(given.values()) and options.student is options.teacher is None:
        if others:
            raise UserError(f"no option {others[0]}; see kdlight pid --help")
        first, second, target = (_read(file) for file in given.values())
        report = compare_arrays(first, second, target, settings)
    else:
        raise UserError("expected either --first, --second and --target, or --student; see kdlight pid --help")
    from kdlight.workbench.pid.report import print_report

    print_report(report)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"saved {options.json}")
    if options.plot is not None:
        from kdlight.workbench.pid.picture import save_report_picture

        save_report_picture(report, options.plot)
        print(f"saved {options.plot}")


def compare_arrays(
    first: npt.NDArray[Any], second: npt.NDArray[Any], target: npt.NDArray[Any], settings: Settings
) -> dict[str, Any]:
    """Decompose what two arrays tell about a third.

    Args:
        first: Symbols (samples,), integers from 0, or features (samples, …).
        second: Likewise.
        target: Classes (samples,), integers from 0.
        settings: How features become symbols.

    Returns:
        ``samples`` that were counted, and the ``atoms`` by name, with the redundancies I_min and MMI for comparison.

    Raises:
        UserError: If shapes, types or lengths do not fit.
    """
    if len({len(values) for values in (first, second, target)}) > 1 or target.ndim != 1:
        shapes = ", ".join(str(values.shape) for values in (first, second, target))
        raise UserError(f"expected first, second and a one-dimensional target of one length, got shapes {shapes}")
    sources = [first, second]
    clustered = [not _are_symbols(values) for values in sources]
    if any(clustered):
        if len(target) < 8:
            raise UserError(f"expected at least 8 samples, of which half fit the clusters, got {len(target)}")
        order = np.random.default_rng(settings.seed).permutation(len(target))
        fitted, counted = order[: len(order) // 2], order[len(order) // 2 :]
        for place, values in enumerate(sources):
            sources[place] = values[counted]
            if clustered[place]:
                discretizer = Discretizer(
                    settings.symbols, clusters=settings.clusters, components=settings.components, seed=settings.seed
                )
                sources[place] = discretizer.fit(values[fitted], target[fitted]).transform(values[counted])
        target = target[counted]
    counts = joint_histogram(sources[0], sources[1], target)
    atoms = estimated_atoms(counts, tolerance=settings.tolerance, seed=settings.seed)
    joint = counts / counts.sum()
    atoms |= {"redundant_i_min": float(i_min(joint).redundant), "redundant_i_mmi": float(i_mmi(joint).redundant)}
    return {"samples": len(target), "atoms": atoms}


def _are_symbols(values: npt.NDArray[Any]) -> bool:
    return values.ndim == 1 and bool(np.issubdtype(values.dtype, np.integer))


def _read(file: Path) -> npt.NDArray[Any]:
    if not file.is_file():
        raise MissingFileError(f"{file} does not exist; expected an array of numpy.save")
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError):
        array = None
    if not isinstance(array, np.ndarray) or array.ndim == 0:
        raise UserError(f"{file}: expected an array of numbers in the format of numpy.save (.npy)")
    return array
