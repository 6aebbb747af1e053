"""Measure the speed that kdlight promises: ``python -m kdlight.workbench.bench.standard``, or ``make bench``.

KD is timed for two pairs of teacher and student, on images of CIFAR's shape in batches of 64. Five things are timed for
each pair: `kdlight fit`; `kdlight fit` with a teacher cache, which stores the teacher's logits for four views
(augmented versions) of each image; the filling of this cache; a bare loop (plain torch) that runs the teacher; and a
bare loop that is given random logits in place of the teacher's. Images are random unless a folder with CIFAR-100 is
given, and teachers are untrained. The times depend neither on the content of images nor on the teachers' weights.

Two more things are timed: the making of batches without training, by kdlight and by torchvision; and the training of a
grid of runs, one run at a time and two at a time.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from kdlight.cli.messages import report_errors, silence_libraries
from kdlight.files import parse_path
from kdlight.workbench.bench.data_path import time_data_path
from kdlight.workbench.bench.measure import GIVEN, make_workplace, measure, write_json
from kdlight.workbench.bench.parallel_jobs import time_jobs
from kdlight.workbench.bench.random_images import RandomImages
from kdlight.workbench.bench.rates import LOOK, print_report
from kdlight.workbench.bench.timed_fit import FIT, Pace, TimedFit

VIEWS = 4
CACHED = f"fit with a teacher cache of {VIEWS} views"
IMAGES = 1280
DATA_PATH_IMAGES = 10_000


class Pair(NamedTuple):
    """Two networks, how they are timed, and the ratios of speeds that are expected.

    Attributes:
        teacher: Name of the teacher in `kdlight.models`.
        student: Name of the student in `kdlight.models`.
        pace: How many steps are timed.
        of_bare: The speed of `kdlight fit`, divided by that of the bare loop that runs the teacher.
        cached: The speed of `kdlight fit` with a filled cache, divided by its speed without one.
        given: The speed of the bare loop that is given logits, divided by that of the bare loop that runs the teacher.
    """

    teacher: str
    student: str
    pace: Pace
    of_bare: float
    cached: float
    given: float


PAIRS = (
    Pair("wrn_40_2", "wrn_16_1", Pace(steps=2, warmup=3, turns=15), of_bare=0.95, cached=3.5, given=4.2),
    Pair("resnet20", "resnet8", Pace(steps=5, warmup=3, turns=30), of_bare=0.95, cached=1.6, given=1.8),
)
DATA_PATH = 15_000  # expected speed of making batches, in images per CPU-second
OF_TORCHVISION = 8.0  # the expected speed of making batches, divided by that of torchvision's transforms
OF_ONE_JOB = 1 / 0.6  # expected speed with two jobs, divided by that with one; two should take at most 60 % of the time


class Line(NamedTuple):
    """A line of the summary: a measured ratio, rate or time, and the expected value (0 if none is expected)."""

    what: str
    measured: float
    goal: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print everything."""
    parser = argparse.ArgumentParser("make bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--data_dir", metavar="DIR", help="folder with CIFAR-100; random images by default")
    parser.add_argument("--json", type=parse_path, metavar="FILE", help="write all measurements to this file")
    options = parser.parse_args(arguments)
    silence_libraries()
    console = Console()
    with report_errors() as outcome:
        contents, lines = [], [*measure_data_path(), *measure_parallel_jobs()]
        for pair in PAIRS:
            content = measure_pair(pair, make_data_options(options.data_dir))
            print_report(content, console)
            lines += list_pair_lines(pair, content)
            contents.append({"pair": f"{pair.teacher} -> {pair.student}", **content})
        console.print(build_summary(lines))
        if options.json is not None:
            write_json({"summary": [line._asdict() for line in lines], "pairs": contents}, options.json)
    return outcome.code


def make_data_options(data_dir: str | None) -> list[str]:
    """Return options of `kdlight fit` that choose data with few images, so that caches are filled quickly.

    The time of a step does not depend on the number of images.
    """
    if data_dir is None:
        return ["--data", "kdlight.workbench.bench.random_images.RandomImages", f"--data.train_images={IMAGES}"]
    per_class = f"--data.train_per_class={-(-IMAGES // 100)}"
    return ["--data", "kdlight.data.CIFAR100DataModule", f"--data.data_dir={data_dir}", "--data.val_size=0", per_class]


def measure_pair(pair: Pair, data: Sequence[str]) -> dict[str, Any]:
    """Time `kdlight fit` without and with a cache, and the bare loops."""
    common = [
        *data,
        "--data.batch_size=64",
        "--model=kdlight.methods.KD",
        f"--model.student=kdlight.models.{pair.student}",
        f"--model.teacher=kdlight.models.{pair.teacher}",
        "--model.untrained_teacher=true",
        "--trainer.max_epochs=240",
        "--trainer.devices=1",
    ]
    with make_workplace() as folder:
        cache = [f"--model.teacher_cache.path={folder / 'cache'}", f"--model.teacher_cache.views={VIEWS}"]
        fits = {
            FIT: TimedFit.build(common, folder / "uncached"),
            CACHED: TimedFit.build([*common, *cache], folder / "cached"),
        }
        content = measure(fits, pair.pace)
        images = VIEWS * fits[CACHED].data.train_size
    seconds = next(row["start_seconds"] for row in content["rows"] if row["name"] == CACHED)
    return {**content, "filling": {"images": images, "seconds": seconds}}


def list_pair_lines(pair: Pair, content: dict[str, Any]) -> list[Line]:
    """Return the summary's lines about a pair."""
    rows, name = {row["name"]: row for row in content["rows"]}, f"{pair.teacher} -> {pair.student}"
    filling = content["filling"]
    return [
        Line(f"{name}: speed of fit / of the bare loop", rows[FIT]["of_bare"], pair.of_bare),
        Line(f"{name}: speed of fit with a filled cache / without", rows[CACHED]["of_first"], pair.cached),
        Line(f"{name}: speed of the bare loop with given logits / without", rows[GIVEN]["of_bare"], pair.given),
        Line(f"{name}: images/s while the cache is filled", filling["images"] / filling["seconds"]),
    ]


def measure_data_path() -> list[Line]:
    """Time the making of batches without training, and return the summary's lines about it."""
    timed = time_data_path(RandomImages(train_images=DATA_PATH_IMAGES))
    return [
        Line("data path, images per CPU-second on one thread", timed.kdlight, DATA_PATH),
        Line("torchvision's transforms on PIL images, images per CPU-second", timed.torchvision),
        Line("speed of the data path / of torchvision's transforms", timed.ratio, OF_TORCHVISION),
    ]


def measure_parallel_jobs() -> list[Line]:
    """Time the training of a grid, one run at a time and two at a time, and return the summary's lines about it.

    On a machine with a single core, nothing is timed and no lines are returned.
    """
    timed = time_jobs()
    if timed is None:
        return []
    return [
        Line("a grid with one job, seconds", timed.one),
        Line("the same grid with two jobs, seconds", timed.two),
        Line("speed of the grid with two jobs / with one", timed.ratio, OF_ONE_JOB),
    ]


def build_summary(lines: Sequence[Line]) -> Table:
    """Build the table of measured and expected values."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    table = Table(title=f"Measured on {device}; the goals are for a CPU", **LOOK)
    for heading in ("", "measured", "goal", ""):
        table.add_column(heading, justify="left" if not heading else "right")
    for line in lines:
        missed = "missed" if line.measured < line.goal else ""
        table.add_row(line.what, _format_number(line.measured), _format_number(line.goal) if line.goal else "", missed)
    return table


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
