"""``kdlight pid``: the partial information decomposition (PID) of two networks, or of two arrays, about a label.

The PID says how many bits about the label both have (redundant), only one has (unique), or only both together have
(synergistic). Each sample has a label and two symbols, one for each network or array. Symbols are integers, and the PID
is computed from the joint histogram of the label and the two symbols. An array of integers of shape (samples,) holds
symbols. Any other array holds features (samples, …), which are turned into symbols. By default (--symbols kmeans) they
are clustered: the clusters are fitted on a random half of the samples. The PID is then computed from the other half,
with each sample's cluster as its symbol. For networks, the clusters are fitted on training images, and the PID is
computed from the images of --split. Each stage of the teacher is compared with each stage of the student. If --teacher
names several networks, each is compared with the student at one stage only (--stage). The teachers are ranked by their
unique information: what a teacher tells about the label, but the student does not tell yet.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kdlight.errors import MissingFileError, UserError
from kdlight.files import parse_path, replace_file
from kdlight.runs.folder import WEIGHTS
from kdlight.workbench.command_parser import CommandParser
from kdlight.workbench.data_options import read_data_options

METHODS = ("kmeans", "quantile", "probe", "predictions")
USAGE = """kdlight pid --first A.npy --second B.npy --target Y.npy [OPTIONS]
       kdlight pid --student RUN [--teacher RUN] [--data.KEY VALUE] [OPTIONS]
       kdlight pid --student RUN --teacher RUN RUN [RUN …] [--stage STAGE] [OPTIONS]"""
OF_NETWORKS = ("stage", "weights", "split", "samples", "fit_samples", "details")  # options for networks only
SEEDS = 2**32  # numpy's generators take seeds below this number


class Settings(NamedTuple):
    """The options that say how features are turned into symbols, and how the PID is computed from symbols."""

    symbols: Any
    clusters: int | None
    components: int
    repeats: int
    seed: int
    tolerance: float


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = make_parser()
    options, others = parser.parse_known_args(arguments[1:])
    if options.repeats < 1:
        raise UserError(f"--repeats: expected at least 1, got {options.repeats}")
    if not 0 <= options.seed < SEEDS:
        raise UserError(f"--seed: expected a whole number from 0 to {SEEDS - 1}, got {options.seed}")
    if not 0 < options.tolerance < 1:
        raise UserError(f"--tolerance: expected a number of bits above 0 and below 1, got {options.tolerance}")
    if options.stage != "deepest" and len(options.teacher or ()) < 2:
        raise UserError(
            f"--stage {options.stage}: expected several RUNs after --teacher; with one teacher every stage is measured"
        )
    changes = read_data_options(others, "kdlight pid")
    # These modules import torch, which takes long. So they are imported only after --help and the parser's errors.
    from kdlight.workbench.pid.arrays import compare_arrays
    from kdlight.workbench.pid.networks import compare_networks, rank_teachers
    from kdlight.workbench.pid.report_tables import print_report

    if options.plot is not None:
        from kdlight.workbench.picture_files import require_format

        require_format(options.plot)
    settings = Settings(*(getattr(options, name) for name in Settings._fields))
    given = {name: getattr(options, name) for name in ("first", "second", "target")}
    report: Any
    if options.student is not None and not any(given.values()):
        measure = rank_teachers if len(options.teacher or ()) > 1 else compare_networks
        report = measure(options, settings, changes)
    elif all(given.values()) and options.student is options.teacher is None:
        if changes:
            raise UserError(f"{others[0]}: this option is for networks (--student), not for arrays; leave it out")
        for name in OF_NETWORKS:
            if getattr(options, name) != parser.get_default(name):
                raise UserError(f"--{name}: this option is for networks (--student), not for arrays; leave it out")
        first, second, target = (_read_array(file) for file in given.values())
        report = compare_arrays(first, second, target, settings)
    else:
        raise UserError(
            "expected either --first, --second and --target (arrays), or --student with or without --teacher "
            "(networks); see kdlight pid --help"
        )
    print_report(report)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(options.json) as draft:
            draft.write_text(json.dumps(report.to_dict(), indent=2) + "\n", encoding="utf-8")
        print(f"saved {options.json}")
    if options.plot is not None:
        from kdlight.workbench.pid.report_pictures import save_report_picture

        save_report_picture(report, options.plot)
        print(f"saved {options.plot}")


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser("kdlight pid", USAGE, description=__doc__)
    arrays = parser.add_argument_group("arrays")
    for name in ("first", "second", "target"):
        arrays.add_argument(f"--{name}", type=parse_path, metavar="FILE.npy")
    networks = parser.add_argument_group("networks")
    networks.add_argument(
        "--student", type=parse_path, metavar="RUN", help="folder of a finished run, or a checkpoint in it"
    )
    networks.add_argument(
        "--teacher",
        type=parse_path,
        nargs="+",
        metavar="RUN",
        help="a run, whose student is taken as the teacher; or a file of weights, which is loaded into the teacher "
        "that --student was trained with. Default: that teacher with its own weights. Several RUNs are ranked",
    )
    networks.add_argument(
        "--stage",
        default="deepest",
        help="where several teachers are compared with the student: deepest (the default), a stage of the student "
        "(stage1, stage2, …), embedding or logits",
    )
    networks.add_argument(
        "--weights",
        choices=WEIGHTS,
        default="last",
        help="which weights of a run to load: its last ones, or the best on the validation images",
    )
    networks.add_argument("--split", choices=("test", "val"), default="test", help="split whose images are measured")
    networks.add_argument(
        "--samples", type=int, metavar="N", help="number of images to measure; default: all of the split"
    )
    networks.add_argument(
        "--fit_samples",
        type=int,
        default=2_000,
        metavar="N",
        help="number of training images on which the clusters are fitted",
    )
    networks.add_argument(
        "--details",
        action="store_true",
        help="also compute other definitions of redundancy, and how much each class contributes",
    )
    parser.add_argument("--symbols", choices=METHODS, default="kmeans", help="how features are turned into symbols")
    parser.add_argument(
        "--clusters",
        type=_parse_clusters,
        metavar="N",
        help="number of symbols for kmeans and quantile; default: auto, which chooses at most 20, and at most "
        "twice the number of classes",
    )
    parser.add_argument(
        "--components",
        type=int,
        default=10,
        metavar="N",
        help="number of principal components to which features are reduced",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=5,
        metavar="N",
        help="number of times that features are turned into symbols; results are averaged",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of the clustering, and of the random subsets of samples that are used to correct the PID's bias",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-5,
        metavar="BITS",
        help="stop computing the PID when its numerical error is at most this",
    )
    parser.add_argument("--json", type=parse_path, metavar="FILE", help="write all results to this file")
    parser.add_argument(
        "--plot", type=parse_path, metavar="FILE", help="save a picture in the format of the file's suffix"
    )
    return parser


def _parse_clusters(text: str) -> int | None:
    if text == "auto":
        return None
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"expected auto or a whole number of at least 1, got '{text}'")
    return count


def _read_array(file: Path) -> npt.NDArray[Any]:
    if not file.is_file():
        what = "is no file" if file.exists() else "does not exist"
        raise MissingFileError(f"{file} {what}; expected an array that numpy.save has written")
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError):
        array = None
    if not isinstance(array, np.ndarray) or array.ndim == 0:
        raise UserError(f"{file}: expected an array of numbers in the format of numpy.save (.npy)")
    return array
