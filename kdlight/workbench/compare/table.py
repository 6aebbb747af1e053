"""The table of runs: a row a group of settings, means over its seeds, and differences to one arm."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from tabulate import tabulate

from kdlight.errors import UserError
from kdlight.measuring.report import StageReport
from kdlight.workbench.compare.records import FINISHED, Record, varied_settings
from kdlight.workbench.compare.statistics import Difference, Summary, paired_difference, summarise

FORMATS = {"table": "simple", "markdown": "github", "latex": "latex_booktabs"}  # tabulate's names
MISSING = "–"
NOT_ESTIMABLE = "not estimable"
MARK = " *"  # behind a difference whose interval leaves out 0


Reader = Callable[[Mapping[str, Any], str | None], float]


class Measure(NamedTuple):
    """A column of the table.

    Attributes:
        heading: What stands above it.
        digits: Digits behind the point.
        read: From a result and the stage of the PID to the value; NaN where the run does not have it.
        interval: From the same to the ends of the value's 95 % interval; None where it has none.
    """

    heading: str
    digits: int
    read: Reader
    interval: tuple[Reader, Reader] | None = None


def _atom(heading: str, name: str) -> Measure:
    lower, upper = (_entry("pid_test", "<stage>", f"{name}_{end}") for end in ("lower", "upper"))
    return Measure(heading, 3, _entry("pid_test", "<stage>", name), (lower, upper))


def _entry(*path: str, factor: float = 1.0) -> Reader:
    def read(result: Mapping[str, Any], stage: str | None) -> float:
        found: Any = result
        for key in path:
            key = stage or "" if key == "<stage>" else key
            found = found.get(key) if isinstance(found, Mapping) else None
        return factor * found if isinstance(found, int | float) else math.nan

    return read


MEASURES: dict[str, Measure] = {
    "last": Measure("last %", 2, _entry("test", "last", "accuracy", factor=100)),
    "selected": Measure("selected %", 2, _entry("test", "best", "accuracy", factor=100)),
    "teacher": Measure("teacher %", 2, _entry("teacher_test", "accuracy", factor=100)),
    "agreement": Measure("agreement %", 2, _entry("test", "last", "agreement", factor=100)),
    "redundant": _atom("red", "redundant"),
    "unique_teacher": _atom("uni T", "unique_teacher"),
    "unique_student": _atom("uni S", "unique_student"),
    "synergistic": _atom("syn", "synergistic"),
    "information_teacher": _atom("I(Y;T)", "information_teacher"),
    "information_student": _atom("I(Y;S)", "information_student"),
    "label_entropy": Measure("H(Y)", 3, _entry("pid_test", "<stage>", "label_entropy")),
    "parameters": Measure("parameters", 0, _entry("student_parameters")),
    "flops": Measure("FLOPs", 0, _entry("networks", "student", "flops")),
    "images_per_second": Measure("images/s", 0, _entry("images_per_second")),
    "seconds": Measure("s", 0, _entry("seconds")),
}
DEFAULT: tuple[str, ...] = (
    "last",
    "selected",
    "teacher",
    "agreement",
    "redundant",
    "unique_teacher",
    "unique_student",
    "synergistic",
)
DEFAULT += ("information_teacher", "information_student", "seconds")


class Comparison(NamedTuple):
    """Runs in groups.

    Attributes:
        settings: The settings by which the groups differ.
        columns: The measures that are shown.
        groups: By the values of the settings, the runs of a group.
        stage: The stage of the PID.
        baseline: What the group is called that others are compared with; empty for none.
    """

    settings: tuple[str, ...]
    columns: tuple[str, ...]
    groups: dict[tuple[str, ...], list[Record]]
    stage: str | None
    baseline: dict[str, str]

    def summary(self, group: tuple[str, ...], column: str) -> Summary:
        """A measure over the finished runs of a group."""
        return summarise([MEASURES[column].read(run.result, self.stage) for run in finished(self.groups[group])])

    def difference(self, group: tuple[str, ...], column: str) -> Difference | None:
        """How far a group lies above the baseline that equals it in everything else; None for the baseline itself."""
        other = tuple(self.baseline.get(name, value) for name, value in zip(self.settings, group, strict=True))
        if not self.baseline or other == group or other not in self.groups:
            return None
        each = (self._by_seed(of, column) for of in (group, other))
        return paired_difference(*each)

    def _by_seed(self, group: tuple[str, ...], column: str) -> dict[int, float]:
        runs = finished(self.groups[group])
        return {run.seed: MEASURES[column].read(run.result, self.stage) for run in runs if run.seed is not None}


def finished(runs: Sequence[Record]) -> list[Record]:
    """The runs that have a result."""
    return [run for run in runs if run.state == FINISHED]


def group_runs(
    records: Sequence[Record],
    *,
    stage: str | None = None,
    columns: Sequence[str] = (),
    baseline: str = "",
    sort: str = "",
) -> Comparison:
    """Put runs that differ in their seed alone into one group.

    Args:
        records: The runs.
        stage: The stage of the PID; None: the deepest that a run measured.
        columns: Names of `MEASURES`; none: those of `DEFAULT` that a run has.
        baseline: A setting's value such as ``method=none``, or several behind commas: the arm to compare with.
        sort: A setting or a measure; measures come with the largest first.

    Raises:
        UserError: If a stage, a column or a setting does not exist.
    """
    varied = varied_settings(records)
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record, *values in zip(records, *varied.values(), strict=True):
        groups.setdefault(tuple(values), []).append(record)
    results = [record.result for record in records if record.result]
    stage = _stage(results, stage)
    unknown = [name for name in columns if name not in MEASURES]
    if unknown:
        raise UserError(f"--columns {unknown[0]}: expected some of {', '.join(MEASURES)}")
    shown = columns or [
        name for name in DEFAULT if any(not math.isnan(MEASURES[name].read(result, stage)) for result in results)
    ]
    given = dict(part.partition("=")[::2] for part in baseline.split(",")) if baseline else {}
    for name, value in given.items():
        if value not in varied.get(name, ()):
            right = f"one of {', '.join(sorted(set(varied[name])))}" if name in varied else _settings(varied)
            raise UserError(f"--baseline {name}={value}: expected {right}")
    comparison = Comparison(tuple(varied), tuple(shown), groups, stage, given)
    return comparison._replace(groups=_sorted(comparison, sort)) if sort else comparison


def _settings(varied: Mapping[str, object]) -> str:
    return f"a setting by which the runs differ: {', '.join(varied) or 'there is none'}"


def _sorted(comparison: Comparison, sort: str) -> dict[tuple[str, ...], list[Record]]:
    if sort in comparison.settings:
        place = comparison.settings.index(sort)
        return dict(sorted(comparison.groups.items(), key=lambda item: item[0][place]))
    if sort not in MEASURES:
        raise UserError(
            f"--sort {sort}: expected {_settings(dict.fromkeys(comparison.settings))}, or a measure: "
            f"{', '.join(MEASURES)}"
        )

    def largest(item: tuple[tuple[str, ...], list[Record]]) -> tuple[bool, float]:
        mean = comparison.summary(item[0], sort).mean
        return math.isnan(mean), -mean

    return dict(sorted(comparison.groups.items(), key=largest))


def _stage(results: Sequence[Mapping[str, Any]], wanted: str | None) -> str | None:
    measured = dict.fromkeys(stage for result in results for stage in result.get("pid_test") or {})
    if wanted is not None and wanted not in measured:
        raise UserError(
            f"no run measured the PID of '{wanted}'; expected one of {', '.join(sorted(measured)) or 'none'}"
        )
    deepest = [stage for stage in measured if stage.startswith("stage")]
    return wanted or max(deepest, key=lambda stage: int(stage.removeprefix("stage")), default=None)


def tidy(comparison: Comparison) -> pd.DataFrame:
    """One row a group; of each measure its mean, its standard deviation and its number of runs."""
    rows = []
    for group, runs in comparison.groups.items():
        row: dict[str, Any] = {**dict(zip(comparison.settings, group, strict=True)), "runs": len(runs)}
        row["finished"] = len(finished(runs))
        for column in comparison.columns:
            summary = comparison.summary(group, column)
            row |= {column: summary.mean, f"{column}_sd": summary.deviation, f"{column}_n": summary.n}
            difference = comparison.difference(group, column)
            if difference is not None:
                row |= {f"{column}_difference": difference.mean, f"{column}_difference_lower": difference.lower}
                row |= {f"{column}_difference_upper": difference.upper, f"{column}_pairs": difference.n}
        rows.append(row)
    return pd.DataFrame(rows)


def format_table(comparison: Comparison, kind: str) -> str:
    """The table as text: mean ± standard deviation, or the value of a single run.

    Args:
        comparison: The groups.
        kind: "table", "markdown", "latex", "csv" or "json"; the last two have full precision.

    Raises:
        UserError: If there is no such format.
    """
    if kind == "csv":
        lines: str = tidy(comparison).to_csv(index=False)
        return lines
    if kind == "json":
        text: str = tidy(comparison).to_json(orient="records", indent=2)
        return text
    if kind not in FORMATS:
        raise UserError(f"--format {kind}: expected one of {', '.join([*FORMATS, 'csv', 'json'])}")
    labels = comparison.settings or ("run",)
    headings = [*labels, "n", *(MEASURES[column].heading for column in comparison.columns)]
    rows = [_row(comparison, group) for group in comparison.groups]
    align = ["left"] * len(labels) + ["right"] * (len(headings) - len(labels))
    return tabulate(rows, headings, tablefmt=FORMATS[kind], disable_numparse=True, colalign=align)


def _row(comparison: Comparison, group: tuple[str, ...]) -> list[str]:
    runs = comparison.groups[group]
    done = len(finished(runs))
    count = str(done) if done == len(runs) else f"{done} of {len(runs)}"
    label = list(group) or [runs[0].folder.path.name]
    return [*label, count, *(_cell(comparison, group, column) for column in comparison.columns)]


def _cell(comparison: Comparison, group: tuple[str, ...], column: str) -> str:
    summary, digits = comparison.summary(group, column), MEASURES[column].digits
    if not summary.n:
        return NOT_ESTIMABLE if _was_measured(comparison, group, column) else MISSING
    text = f"{summary.mean:.{digits}f}"
    interval = MEASURES[column].interval
    if summary.n == 1 and interval is not None:
        (run,) = finished(comparison.groups[group])
        text += " [{:.{digits}f}, {:.{digits}f}]".format(
            *(end(run.result, comparison.stage) for end in interval), digits=digits
        )
    if not math.isnan(summary.deviation) and digits:
        text += f" ± {summary.deviation:.{digits}f}"
    difference = comparison.difference(group, column)
    if difference is None or not difference.n:
        return text
    text += f" ({difference.mean:+.{digits}f}"
    if difference.n > 1:
        text += f" [{difference.lower:+.{digits}f}, {difference.upper:+.{digits}f}]"
    return text + ")" + (MARK if difference.resolved else "")


def _was_measured(comparison: Comparison, group: tuple[str, ...], column: str) -> bool:
    """Whether a run of the group has the PID, though not this part of it: too few images for an estimate."""
    stages = [run.result.get("pid_test") or {} for run in finished(comparison.groups[group])]
    return MEASURES[column].interval is not None and any(comparison.stage in measured for measured in stages)


def _is_capped(run: Record, stage: str | None) -> bool:
    measured = (run.result.get("pid_test") or {}).get(stage)
    return measured is not None and StageReport.from_dict(measured).capped


def explain(comparison: Comparison) -> list[str]:
    """What the table shows, in sentences to print below it."""
    several = any(len(finished(runs)) > 1 for runs in comparison.groups.values())
    said = ["accuracy on the test set, of the last and of the selected epoch, in %"]
    if comparison.stage is not None:
        said.append(f"PID of {comparison.stage} on the test set, last weights, in bits")
    if several:
        said.append("mean ± standard deviation over the runs of a row")
    elif comparison.stage is not None:
        said.append("in square brackets its 95 % interval")
    lines = ["; ".join(said) + "."]
    capped = [run for runs in comparison.groups.values() for run in finished(runs) if _is_capped(run, comparison.stage)]
    if capped:
        lines.append(
            f"The number of symbols, not the network, limits the PID of {len(capped)} runs ({capped[0].folder.path}, …)"
            ": more clusters or `symbols: probe` would find more."
        )
    if comparison.baseline:
        name = ",".join(f"{key}={value}" for key, value in comparison.baseline.items())
        lines.append(
            f"In brackets: difference to {name}, paired by seed, with its 95 % interval by Student's t; * leaves out 0."
        )
        found = [comparison.difference(group, comparison.columns[0]) for group in comparison.groups]
        detectable = [each.detectable for each in found if each is not None and not math.isnan(each.detectable)]
        if detectable:
            measure = MEASURES[comparison.columns[0]]
            lines.append(
                f"With so many seeds a true difference in '{measure.heading}' of {max(detectable):.{measure.digits}f} "
                "would show in 80 % of repetitions."
            )
    return lines
