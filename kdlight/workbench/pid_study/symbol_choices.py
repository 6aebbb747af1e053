"""Does the choice of symbols change which method transfers more?

How much a method transfers is measured by the PID, the partial information decomposition of what teacher and student
tell about the label. It is computed from symbols, the numbers into which the networks' features are turned. This study
takes finished runs with the same teacher, and measures their last weights on the test images with several kinds of
symbols. The kinds are 4, 10 and 30 clusters by k-means (the paper of the method RID takes 10 for CIFAR-10); kdlight's
default, which is at most 20 clusters, and fewer if there are few images; and the predictions of a probe, which is a
linear classifier of the features. (The class `Probe` is something else. It holds the images on which networks are
measured.)

The study writes a file with a row per run, kind of symbols and stage::

    python -m kdlight.workbench.pid_study.symbol_choices runs/cifar10_trained --keep FILE.csv
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.progress import Progress
from torch import Tensor

from kdlight.atoms import ATOMS
from kdlight.cli.messages import report_errors, silence_libraries
from kdlight.data.base.batch import Batch
from kdlight.errors import UserError
from kdlight.files import parse_path, replace_file
from kdlight.information.discretizer import Method, Symbols
from kdlight.measuring.comparison import measure_stage
from kdlight.measuring.feature_pairs import get_features
from kdlight.measuring.probe import Probe, move_images
from kdlight.measuring.repeated_discretizer import RepeatedDiscretizer
from kdlight.models.frozen import Frozen
from kdlight.workbench.compare.record import FINISHED, Record
from kdlight.workbench.compare.records import read_records
from kdlight.workbench.finished_runs import Run

KINDS: dict[str, tuple[Method, int | None]] = {
    "4 clusters": ("kmeans", 4),
    "10 clusters": ("kmeans", 10),
    "30 clusters": ("kmeans", 30),
    "as many clusters as the images bear": ("kmeans", None),
    "probe": ("probe", None),
}
# Which features of both networks are measured, and the names of these features in the file; -1 is the last stage.
STAGES: dict[int | str, str] = {-1: "deepest", "logits": "logits"}
COMPONENTS, REPEATS, SEED, FIT_SAMPLES = 10, 5, 0, 2_000  # the defaults of PIDMonitor
EXACT: dict[str, Any] = {"tolerance": 1e-5, "seed": SEED, "details": False}
VALUES = (*ATOMS, "information_teacher", "information_student")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the runs, and write the file."""
    parser = argparse.ArgumentParser("symbol_choices", description=__doc__, allow_abbrev=False)
    parser.add_argument("runs", nargs="+", metavar="RUNS", help="finished runs of one teacher: folders or patterns")
    parser.add_argument("--keep", type=parse_path, required=True, metavar="FILE.csv", help="where the rows are written")
    options = parser.parse_args(arguments)
    silence_libraries()
    with report_errors() as outcome:
        runs = [record for record in read_records(options.runs) if record.state == FINISHED]
        if not runs:
            raise UserError(f"expected finished runs, got none in {', '.join(options.runs)}; train them first")
        with Progress() as progress:
            rows = list(progress.track(measure(runs), total=len(runs), description="measuring"))
        write(rows, options.keep)
    return outcome.code


def measure(runs: Sequence[Record]) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each run. A run has a row for each kind of symbols and each key of `STAGES`.

    Raises:
        UserError: If the runs have different teachers.
    """
    first = Run(runs[0].folder.path)
    teachers = {run.result["teacher_sha256"]: run.folder.path for run in runs}
    if len(teachers) > 1:
        one, other, *_ = teachers.values()
        raise UserError(
            f"expected runs of one teacher, got different teachers in {one} and {other}; "
            "measure the runs of each teacher separately"
        )
    data = first.data({})
    data.setup("fit")
    data.setup("test")
    probe = Probe.take(data, "test", None, FIT_SAMPLES)
    discretizers = {
        kind: RepeatedDiscretizer(symbols, clusters, COMPONENTS, SEED, REPEATS)
        for kind, (symbols, clusters) in KINDS.items()
    }
    of_teacher = {
        place: {kind: symbolise(features, discretizer) for kind, discretizer in discretizers.items()}
        for place, features in compute_features(Frozen(first.teacher()), probe).items()
    }
    for run in runs:
        rows = []
        for place, features in compute_features(Frozen(Run(run.folder.path).student()), probe).items():
            for kind, discretizer in discretizers.items():
                symbols, clusters = of_teacher[place][kind]
                of_student, _ = symbolise(features, discretizer, clusters)
                found = measure_stage(symbols, of_student, probe.target, **EXACT).to_dict()
                values = {name: found.get(name) for name in VALUES}
                rows.append({**run.axes, "seed": run.seed, "symbols": kind, "stage": STAGES[place], **values})
        yield rows


def compute_features(network: Frozen, probe: Probe) -> dict[int | str, Probe]:
    """Return, for each key of `STAGES`, a `Probe` that contains the network's features instead of the images."""
    found = {place: Probe([], []) for place in STAGES}
    for part, batches in probe._asdict().items():
        for batch in batches:
            computed = network.activations(move_images(network.model, batch))
            for place, of_place in found.items():
                getattr(of_place, part).append(batch._replace(images=get_features(computed, place)))
    return found


def symbolise(features: Probe, discretizer: RepeatedDiscretizer, clusters: int | None = None) -> tuple[Symbols, int]:
    """Turn features into symbols.

    Args:
        features: Features of the images to fit on (``fitted``) and of the images that get symbols (``counted``).
        discretizer: The discretizer.
        clusters: The number of clusters; None: the discretizer's number or, if it has none, the number that it chooses.

    Returns:
        The symbols, an array of shape (repeats, samples), and the number of clusters.
    """

    def read(batch: Batch) -> dict[str, Tensor]:
        return {"": batch.images}

    fitted = discretizer.fit(read, features.fitted, features.samples, None if clusters is None else {"": clusters})
    return discretizer.transform(read, features.counted, fitted)[""], fitted[""][0].clusters


def write(rows: Sequence[Sequence[dict[str, Any]]], file: Path) -> None:
    """Write the rows as CSV. A value is left empty if there are too few images to estimate it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(file) as draft:
        pd.DataFrame([row for each in rows for row in each]).to_csv(draft, index=False, float_format="%.6g")


if __name__ == "__main__":
    raise SystemExit(main())
