"""Write the table of runs as text: mean ± standard deviation over the seeds, and differences to a baseline."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from kdlight.errors import UserError
from kdlight.measuring.report import StageReport
from kdlight.workbench.compare.groups import RunGroups, find_stage, select_finished
from kdlight.workbench.compare.measures import MEASURES
from kdlight.workbench.compare.record import Record

FORMATS = {"table": "simple", "markdown": "github", "latex": "latex_booktabs"}  # tabulate's names
MISSING = "–"
IN_LATEX = {"±": r"$\pm$", "−": "$-$", "–": "--"}  # pdflatex does not know the minus sign of Unicode
# Shown instead of a value of the PID (partial information decomposition) if the measured images are too few for it.
NOT_ESTIMABLE = "not estimable"
COMPARED = ("last", "redundant", "unique_teacher")  # the columns for which differences are shown
MARK = " *"  # follows a difference whose interval does not contain 0


def name_columns(axes: Iterable[str], measures: Iterable[str]) -> dict[str, str]:
    """Return the column name of each measure: its own NAME, or ``measured_NAME`` if an axis is already called NAME."""
    taken = set(axes)
    return {name: f"measured_{name}" if name in taken else name for name in measures}


def tidy(comparison: RunGroups) -> pd.DataFrame:
    """Return one row per group.

    A row has the group's settings, its number of runs and its number of finished runs. For each measure it has the
    mean, the standard deviation, the number of runs with this measure, and the difference to the baseline, if any.
    """
    rows = []
    for group, runs in comparison.groups.items():
        row: dict[str, Any] = {**dict(zip(comparison.settings, group, strict=True)), "runs": len(runs)}
        row["finished"] = len(select_finished(runs))
        for measure, column in name_columns(comparison.settings, comparison.columns).items():
            summary = comparison.summarise(group, measure)
            row |= {column: summary.mean, f"{column}_sd": summary.deviation, f"{column}_n": summary.n}
            difference = comparison.compute_difference(group, measure)
            if difference is not None:
                row |= {f"{column}_difference": difference.mean, f"{column}_difference_lower": difference.lower}
                row |= {f"{column}_difference_upper": difference.upper, f"{column}_pairs": difference.n}
        rows.append(row)
    return pd.DataFrame(rows)


def tabulate_runs(records: Sequence[Record], stage: str | None = None) -> pd.DataFrame:
    """Return a table with one row per run.

    The columns are: one for each axis (a setting that a grid varies), with the labels of the values; the run's seed,
    state and folder; the reason why a run is not finished; and the measures. Measures that no run has are left out.

    Args:
        records: The runs.
        stage: The stage whose PID is read; None: the deepest stage whose PID a run measured.

    Raises:
        UserError: If no run measured the PID of this stage.
    """
    stage = find_stage([record.result for record in records], stage)
    columns = name_columns((axis for record in records for axis in record.axes), MEASURES)
    rows = [
        {
            **record.axes,
            "seed": record.seed,
            "state": str(record.state),
            "reason": record.reason,
            "folder": str(record.folder.path),
            **{columns[name]: measure.read(record.result, stage) for name, measure in MEASURES.items()},
        }
        for record in records
    ]
    table = pd.DataFrame(rows)
    return table.drop(columns=[column for column in columns.values() if table[column].isna().all()])


def format_table(comparison: RunGroups, kind: str) -> str:
    """Format the table as text: mean ± standard deviation, or the value of a single run.

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
    tables = [format_cells(comparison), *([format_difference_cells(comparison)] if comparison.baseline else [])]
    labels = len(comparison.settings) or 1
    text = "\n\n".join(
        tabulate(
            rows,
            headings,
            tablefmt=FORMATS[kind],
            disable_numparse=True,
            colalign=["left"] * labels + ["right"] * (len(headings) - labels),
        )
        for headings, rows in tables
        if rows
    )
    if kind == "latex":
        for sign, written in IN_LATEX.items():
            text = text.replace(sign, written)
    return text


def format_cells(comparison: RunGroups) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows as texts. A row has a group's settings, its number of finished runs, and measures."""
    measures = [MEASURES[column].heading for column in comparison.columns]
    headings = [*(comparison.settings or ("run",)), "n", *measures]
    return headings, [_format_row(comparison, group) for group in comparison.groups]


def format_difference_cells(comparison: RunGroups) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of the differences to the baseline.

    The columns are the shown measures that are in `COMPARED` or, if there are none, all shown measures.
    """
    columns = [column for column in comparison.columns if column in COMPARED] or list(comparison.columns)
    headings = [*(comparison.settings or ("run",)), *(f"{MEASURES[column].heading} − baseline" for column in columns)]
    rows = [
        [*group, *(_format_difference(comparison, group, column) for column in columns)]
        for group in comparison.groups
        if comparison.find_opposite(group) is not None
    ]
    return headings, rows


def _format_difference(comparison: RunGroups, group: tuple[str, ...], column: str) -> str:
    difference, digits = comparison.compute_difference(group, column), MEASURES[column].digits
    if difference is None or not difference.n:
        return MISSING
    text = f"{difference.mean:+.{digits}f}"
    if difference.n > 1:
        text += f" [{difference.lower:+.{digits}f}, {difference.upper:+.{digits}f}]"
    return text + (MARK if difference.resolved else "")


def _format_row(comparison: RunGroups, group: tuple[str, ...]) -> list[str]:
    runs = comparison.groups[group]
    done = len(select_finished(runs))
    count = str(done) if done == len(runs) else f"{done} of {len(runs)}"
    label = list(group) or [runs[0].folder.path.name]
    return [*label, count, *(_format_cell(comparison, group, column) for column in comparison.columns)]


def _format_cell(comparison: RunGroups, group: tuple[str, ...], column: str) -> str:
    summary, digits = comparison.summarise(group, column), MEASURES[column].digits
    if not summary.n:
        return NOT_ESTIMABLE if _was_measured(comparison, group, column) else MISSING
    text = f"{summary.mean:z.{digits}f}"
    interval = MEASURES[column].interval
    if summary.n == 1 and interval is not None:
        (run,) = select_finished(comparison.groups[group])
        text += " [{:.{digits}f}, {:.{digits}f}]".format(
            *(end(run.result, comparison.stage) for end in interval), digits=digits
        )
    if not math.isnan(summary.deviation) and digits:
        text += f" ± {summary.deviation:.{digits}f}"
    return text


def _was_measured(comparison: RunGroups, group: tuple[str, ...], column: str) -> bool:
    """Return whether a column belongs to the PID and a run measured the PID.

    If such a column has no value, too few images were measured.
    """
    stages = [run.result.get("pid_test") or {} for run in select_finished(comparison.groups[group])]
    return MEASURES[column].interval is not None and any(comparison.stage in measured for measured in stages)


def _is_capped(run: Record, stage: str | None) -> bool:
    measured = (run.result.get("pid_test") or {}).get(stage)
    return measured is not None and bool(StageReport.from_dict(measured).capped)


def explain(comparison: RunGroups) -> list[str]:
    """Return sentences that explain the table, to print below it."""
    finished = [select_finished(runs) for runs in comparison.groups.values()]
    several, single = any(len(runs) > 1 for runs in finished), any(len(runs) == 1 for runs in finished)
    said = ["accuracy on the test set, of the last and of the selected epoch, in %"]
    if comparison.stage is not None:
        said.append(f"PID of {comparison.stage} on the test set, last weights, in bits")
    if several:
        said.append("mean ± standard deviation over the runs of a row")
    if single and comparison.stage is not None:
        said.append("in square brackets the interval that contains 95 % of repeated measurements")
    lines = ["; ".join(said) + "."]
    done = [run for runs in finished for run in runs]
    epochs = sorted({run.result["epochs"] for run in done if "epochs" in run.result})
    if len(epochs) > 1:
        lines.append(f"The runs have different numbers of epochs: {', '.join(map(str, epochs))}.")
    seeds = [[run.seed for run in runs if run.seed is not None] for runs in finished]
    if any(len(set(of_row)) < len(of_row) for of_row in seeds):
        lines.append("In some rows, ± is the deviation over runs, not over seeds: several runs have the same seed.")
    capped = [run for run in done if _is_capped(run, comparison.stage)]
    if capped:
        lines.append(
            f"The PID of some runs ({len(capped)}; the first is {capped[0].folder.path}) is limited by the number of "
            "symbols, not by the network. To see more of the information, increase clusters or set `symbols: probe`."
        )
    if comparison.baseline:
        name = ",".join(f"{key}={value}" for key, value in comparison.baseline.items())
        lines.append(
            f"Second table: the difference to {name}, paired by seed, with its 95 % interval by Student's t; * marks "
            "an interval that does not contain 0."
        )
        found = [comparison.compute_difference(group, comparison.columns[0]) for group in comparison.groups]
        detectable = [each.detectable for each in found if each is not None and not math.isnan(each.detectable)]
        if detectable:
            measure = MEASURES[comparison.columns[0]]
            lines.append(
                f"With this number of seeds, a true difference in '{measure.heading}' of "
                f"{max(detectable):.{measure.digits}f} would show in 80 % of repetitions."
            )
    return lines
