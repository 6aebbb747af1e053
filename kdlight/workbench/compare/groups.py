"""Put runs that differ only in their seed into one group, and compare groups with a baseline group."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kdlight.errors import UserError
from kdlight.workbench.compare.measures import DEFAULT, MEASURES
from kdlight.workbench.compare.record import FINISHED, Record
from kdlight.workbench.compare.records import find_varied_settings
from kdlight.workbench.compare.statistics import Difference, Summary, compute_difference, summarise


class RunGroups(NamedTuple):
    """Groups of runs; the runs of a group differ only in their seed.

    Attributes:
        settings: The settings by which the groups differ.
        columns: The measures that are shown.
        groups: The runs of each group, by the values of the settings.
        stage: The name of the stage whose PID (partial information decomposition) is shown; None: no PID was measured.
        baseline: Settings and their values. Each group is compared with the group that has these values and otherwise
            equal settings. Empty: no group is compared.
    """

    settings: tuple[str, ...]
    columns: tuple[str, ...]
    groups: dict[tuple[str, ...], list[Record]]
    stage: str | None
    baseline: dict[str, str]

    def summarise(self, group: tuple[str, ...], column: str) -> Summary:
        """Summarise a measure over the finished runs of a group."""
        return summarise([MEASURES[column].read(run.result, self.stage) for run in select_finished(self.groups[group])])

    def find_opposite(self, group: tuple[str, ...]) -> tuple[str, ...] | None:
        """Find the baseline group with which a group is compared (see `baseline`).

        Return None if there is no such group, or if the given group is itself the baseline group.
        """
        other = tuple(self.baseline.get(name, value) for name, value in zip(self.settings, group, strict=True))
        return other if self.baseline and other != group and other in self.groups else None

    def compute_difference(self, group: tuple[str, ...], column: str) -> Difference | None:
        """Compute by how much a group exceeds its baseline group; None if `find_opposite` finds no baseline group."""
        other = self.find_opposite(group)
        if other is None:
            return None
        each = (self._read_by_seed(of, column) for of in (group, other))
        return compute_difference(*each)

    def _read_by_seed(self, group: tuple[str, ...], column: str) -> dict[int, float]:
        runs = select_finished(self.groups[group])
        return {run.seed: MEASURES[column].read(run.result, self.stage) for run in runs if run.seed is not None}


def select_finished(runs: Sequence[Record]) -> list[Record]:
    """Return the runs that have a result."""
    return [run for run in runs if run.state == FINISHED]


def group_runs(
    records: Sequence[Record],
    *,
    stage: str | None = None,
    columns: Sequence[str] = (),
    baseline: str = "",
    sort: str = "",
) -> RunGroups:
    """Put runs that differ only in their seed into one group.

    Args:
        records: The runs.
        stage: The stage whose PID is shown; None: the deepest stage whose PID a run measured.
        columns: Names of `MEASURES`; if empty, those of `DEFAULT` that at least one run has.
        baseline: The groups to compare with: a setting and its value, such as ``method=none``, or several settings
            with their values, separated by commas. Empty: no group is compared.
        sort: The setting or measure to sort by; for a measure, the largest value comes first.

    Raises:
        UserError: If a stage, a column or a setting does not exist.
    """
    varied = find_varied_settings(records)
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record, *values in zip(records, *varied.values(), strict=True):
        groups.setdefault(tuple(values), []).append(record)
    results = [record.result for record in records if record.result]
    stage = find_stage(results, stage)
    unknown = [name for name in columns if name not in MEASURES]
    if unknown:
        raise UserError(f"--columns {unknown[0]}: expected some of {', '.join(MEASURES)}")
    shown = columns or [
        name for name in DEFAULT if any(not math.isnan(MEASURES[name].read(result, stage)) for result in results)
    ]
    given = dict(part.partition("=")[::2] for part in baseline.split(",")) if baseline else {}
    for name, value in given.items():
        if value not in varied.get(name, ()):
            right = f"one of {', '.join(sorted(set(varied[name])))}" if name in varied else _describe_settings(varied)
            raise UserError(f"--baseline {name}={value}: expected {right}")
    comparison = RunGroups(tuple(varied), tuple(shown), groups, stage, given)
    return comparison._replace(groups=_sort(comparison, sort)) if sort else comparison


def _describe_settings(varied: Mapping[str, object]) -> str:
    return f"a setting by which the runs differ: {', '.join(varied) or 'there is none'}"


def _sort(comparison: RunGroups, sort: str) -> dict[tuple[str, ...], list[Record]]:
    if sort in comparison.settings:
        place = comparison.settings.index(sort)
        return dict(sorted(comparison.groups.items(), key=lambda item: item[0][place]))
    if sort not in MEASURES:
        raise UserError(
            f"--sort {sort}: expected {_describe_settings(dict.fromkeys(comparison.settings))}, or a measure: "
            f"{', '.join(MEASURES)}"
        )

    def largest(item: tuple[tuple[str, ...], list[Record]]) -> tuple[bool, float]:
        mean = comparison.summarise(item[0], sort).mean
        return math.isnan(mean), -mean

    return dict(sorted(comparison.groups.items(), key=largest))


def find_stage(results: Sequence[Mapping[str, Any]], wanted: str | None) -> str | None:
    """Return the wanted stage. If it is None, return the deepest numbered stage whose PID a run measured.

    If runs measured only stages without a number, such as "logits", return the one that comes last in their results. If
    no run measured a PID, return None.

    Raises:
        UserError: If no run measured the PID of the wanted stage.
    """
    measured = dict.fromkeys(stage for result in results for stage in result.get("pid_test") or {})
    if wanted is not None and wanted not in measured:
        raise UserError(
            f"no run measured the PID of '{wanted}'; stages with a measured PID: "
            f"{', '.join(sorted(measured)) or 'none'}"
        )
    numbered = [stage for stage in measured if stage.startswith("stage")]
    last = next(reversed(measured), None)
    return wanted or max(numbered, key=lambda stage: int(stage.removeprefix("stage")), default=last)
