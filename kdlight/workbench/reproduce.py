"""Repeat the runs whose results are kept in ``notebooks/results``, and compare: ``make reproduce DATA=DIR``.

The runs are written below ``runs/``. If they are stopped, the same command continues them. Runs that differ only in
their seed are a group. For each group and measure, the mean over the m new runs is compared with the mean over the n
kept runs. If nothing has changed, there is a probability of 95 % that the two means differ by at most
``t(0.975, n - 1) s sqrt(1/n + 1/m)``. Here t(0.975, n - 1) is the 0.975 quantile of Student's t distribution with n - 1
degrees of freedom, and s is the standard deviation over the kept runs. This gives an interval around each kept mean.
About one of twenty new means is expected to lie outside of its interval even if nothing has changed. If only one run of
a group is kept, there is no interval, and the means are printed without a verdict.
"""

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from scipy import stats

from kdlight.cli.messages import report_errors, silence_libraries
from kdlight.errors import MissingFileError, UserError
from kdlight.workbench.ablate.ablation import AblationResult, ablate
from kdlight.workbench.compare.groups import find_stage
from kdlight.workbench.compare.measures import MEASURES
from kdlight.workbench.compare.record import FAILED, Record, write_labels
from kdlight.workbench.compare.records import read_records
from kdlight.workbench.compare.statistics import CONFIDENCE, Summary, summarise

KEPT = Path("notebooks/results")
DATA = Path("data")  # where the configurations look for images and for published weights
COLUMNS = ("last", "redundant")
WITHIN, OUTSIDE = "within", "outside"  # verdicts


class Part(NamedTuple):
    """The runs of a grid that are repeated: those of the groups ``only`` with this ``seed``.

    A grid is a file in ``configs/grids/``. It varies some settings, its axes. It has a run for each seed and each
    combination of the axes' values, except the combinations that it leaves out. If ``only`` is empty, the runs of all
    groups are repeated; if ``seed`` is None, the runs with all seeds.
    """

    grid: str
    only: tuple[str, ...] = ()
    seed: int | None = None


# In this order, because the teachers of cifar10_teachers include a student of cifar10_protocol.
GRIDS = (
    *("demo", "demo_again", "cifar10_protocol", "cifar10_weights", "cifar10_trained", "cifar10_untrained"),
    *("cifar10_rid_variants", "cifar10_teachers", "cifar100_protocol", "cifar100_parts", "cifar100_alpha_beta"),
)
FULL = tuple(Part(grid) for grid in GRIDS)
QUICK = (Part("demo"), Part("cifar10_trained", ("method=none", "method=kd"), seed=0))


class Repetition(NamedTuple):
    """A measure of a group of runs: its values in the kept runs and in the new runs.

    Attributes:
        group: The group's name, such as ``task=few,method=kd``: each axis of the grid, and the label of its value.
        column: The name of the measure, a key of `MEASURES`.
        kept: The measure's mean and deviation over the kept runs.
        repeated: The measure's mean and deviation over the new runs.
        margin: How far the new mean may lie from the kept one; NaN if only one run is kept.
    """

    group: str
    column: str
    kept: Summary
    repeated: Summary
    margin: float

    @property
    def verdict(self) -> str:
        """Whether the new mean lies within the interval around the kept one, in words."""
        if math.isnan(self.margin):
            return "one kept run: no interval"
        return WITHIN if abs(self.repeated.mean - self.kept.mean) <= self.margin else OUTSIDE


def main(arguments: Sequence[str] | None = None) -> int:
    """Repeat and compare; return 1 if a value lies outside its interval, 2 if a run does not finish."""
    parser = argparse.ArgumentParser("make reproduce", description=__doc__, allow_abbrev=False)
    parser.add_argument("data", type=Path, help="folder with CIFAR-10 and CIFAR-100; --quick needs only CIFAR-10")
    parser.add_argument("--quick", action="store_true", help="only the demo, and two runs of CIFAR-10")
    parser.add_argument("--jobs", type=int, default=2, help="how many runs to train at a time; default: 2")
    options = parser.parse_args(arguments)
    silence_libraries()
    console = Console()
    found: list[Repetition] = []
    with report_errors() as outcome:
        require_kept_results()
        link_data(options.data)
        for part in QUICK if options.quick else FULL:
            result = ablate(part.grid + ".yaml", jobs=options.jobs, only=part.only, seed=part.seed, console=console)
            kept = read_records([KEPT / part.grid])
            require_end(part.grid, result, kept)
            repetitions = compare_with_kept(kept, read_records([run.folder for run in result.runs]))
            console.print(tabulate(part.grid, repetitions))
            found += repetitions
        console.print(conclude(found))
    return outcome.code or int(any(each.verdict == OUTSIDE for each in found))


def require_kept_results() -> None:
    """Check that the current folder is a clone of the repository.

    Raises:
        MissingFileError: If the folder of the kept results is missing.
    """
    if not KEPT.is_dir():
        raise MissingFileError(f"expected the kept results in {KEPT}, found none; run this in the folder of a clone")


def link_data(folder: Path) -> None:
    """Make ``./data`` a symbolic link to the folder of the data, because the configurations look for data there.

    If ``./data`` is this folder already, do nothing.

    Raises:
        MissingFileError: If the folder does not exist.
        UserError: If ``./data`` exists already and is another folder.
    """
    if not folder.is_dir():
        raise MissingFileError(f"expected a folder with CIFAR-10 and CIFAR-100, got '{folder}', which does not exist")
    if not DATA.exists():
        DATA.symlink_to(folder.resolve(), target_is_directory=True)
    elif not DATA.samefile(folder):
        raise UserError(
            f"expected ./{DATA} to be '{folder}' or not to exist, found another folder; move ./{DATA}, or give "
            f"'{DATA}' instead of '{folder}'"
        )


def require_end(grid: str, result: AblationResult, kept: Sequence[Record]) -> None:
    """Check that every run has finished; a run may fail if the kept run with the same labels and seed failed, too.

    Raises:
        UserError: If a run was stopped, or failed although its kept run did not.
    """
    failed = {f"{write_labels(run.axes)}/seed={run.seed}" for run in kept if run.state == FAILED}
    others = {name: why for name, why in {**result.stopped, **result.failed}.items() if name not in failed}
    if others or not result.complete:
        name, reason = next(iter(others.items()), ("some runs", "stopped by a signal"))
        raise UserError(f"{grid}: expected every run to finish, got {name}: {reason}; call the same command again")


def compare_with_kept(kept: Sequence[Record], new: Sequence[Record]) -> list[Repetition]:
    """Compare the measures of new runs with those of the kept runs of the same groups."""
    stage = find_stage([run.result for run in kept], None)
    before, after = collect_groups(kept), collect_groups(new)
    found = []
    for group in before.keys() & after.keys():
        for column in COLUMNS:
            of_kept, of_new = (
                summarise([MEASURES[column].read(run.result, stage) for run in runs])
                for runs in (before[group], after[group])
            )
            if of_kept.n and of_new.n:
                found.append(Repetition(group, column, of_kept, of_new, compute_margin(of_kept, of_new.n)))
    return sorted(found)


def collect_groups(runs: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the runs of each group, by the group's name, which `Repetition` explains."""
    groups: dict[str, list[Record]] = {}
    for run in runs:
        groups.setdefault(write_labels(run.axes), []).append(run)
    return groups


def compute_margin(kept: Summary, repeated: int) -> float:
    """Return how far the mean of ``repeated`` new runs may lie from the kept mean; NaN if only one run is kept."""
    if kept.n < 2:
        return math.nan
    quantile = float(stats.t.ppf(0.5 + CONFIDENCE / 2, kept.n - 1))
    return quantile * kept.deviation * math.sqrt(1 / kept.n + 1 / repeated)


def conclude(repetitions: Sequence[Repetition]) -> str:
    """Return how many of the new means lie within their intervals, in words."""
    verdicts = Counter(each.verdict for each in repetitions)
    judged = verdicts[WITHIN] + verdicts[OUTSIDE]
    said = f"{verdicts[WITHIN]} of {judged} new means lie within their intervals."
    if verdicts[OUTSIDE]:
        said += f" About {judged * (1 - CONFIDENCE):.1f} would lie outside if nothing had changed."
    if judged < len(repetitions):
        said += f" The other {len(repetitions) - judged} have no interval, because only one run of their group is kept."
    return said


def tabulate(grid: str, repetitions: Sequence[Repetition]) -> Table:
    """Make the table of a grid."""
    table = Table("group", "measure", "kept", "repeated", "may differ by", "", title=grid)
    for each in repetitions:
        measure = MEASURES[each.column]
        kept, repeated, margin = (
            "-" if math.isnan(value) else f"{value:.{measure.digits}f}"
            for value in (each.kept.mean, each.repeated.mean, each.margin)
        )
        kept, repeated = f"{kept} (n={each.kept.n})", f"{repeated} (n={each.repeated.n})"
        table.add_row(each.group, measure.heading, kept, repeated, margin, each.verdict)
    return table


if __name__ == "__main__":
    raise SystemExit(main())
