"""Write the report page: tables, pictures and commands of the compared runs, in one self-contained HTML file."""

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader
from plotly.offline import get_plotlyjs

from kdlight.arguments import UNKNOWN
from kdlight.files import replace_file
from kdlight.workbench.compare.groups import RunGroups, select_finished
from kdlight.workbench.compare.over_epochs import SPLITS, pid_keys
from kdlight.workbench.compare.record import FINISHED, Record
from kdlight.workbench.compare.records import find_differing_settings
from kdlight.workbench.compare.statistics import summarise
from kdlight.workbench.compare.table import explain, format_cells, format_difference_cells
from kdlight.workbench.report.figures import (
    ATOM_TITLES,
    draw_class_gains,
    draw_confusion,
    draw_curves,
    draw_points,
    name_group,
)

PLOT_OPTIONS = {"responsive": True, "displaylogo": False, "displayModeBar": False}


class Picture(NamedTuple):
    """A figure of the page.

    Attributes:
        title: The title above the figure.
        html: The HTML element that draws the figure.
    """

    title: str
    html: str


class Table(NamedTuple):
    """A table of the page. The first cell of a row is the heading of the row."""

    headings: list[str]
    rows: list[list[str]]


def write_page(comparison: RunGroups, file: Path, title: str = "") -> None:
    """Write the page.

    Args:
        comparison: The groups of runs.
        file: The HTML file that is written.
        title: The title of the page. If it is empty, the title is the name of the deepest folder that all runs share,
            or "runs" if they share only the root of the file system.
    """
    records = [record for runs in comparison.groups.values() for record in runs]
    content = {
        "title": title or _find_shared_folder(records),
        "version": version("kdlight"),
        "finished": len(select_finished(records)),
        "records": records,
        "groups": len(comparison.groups),
        "table": Table(*format_cells(comparison)),
        "baseline": Table(*format_difference_cells(comparison)) if comparison.baseline else None,
        "explanations": explain(comparison),
        "accuracy": _draw_curves(comparison, {"validation accuracy, %": (("val/accuracy",), 100.0)})
        + _draw_curves(comparison, {"training loss, nats": (("train/loss",), 1.0)}),
        "stages": {stage: _draw_pid(comparison, stage) for stage in _list_stages(records)},
        "measures": build_measure_table(comparison),
        "points": _draw_points(comparison),
        "confusions": _draw_confusions(comparison),
        "gains": _draw_gains(comparison),
        "differences": _build_difference_table(comparison),
        "unfinished": [record for record in records if record.state != FINISHED],
        "commands": [(record, _list_commands(record)) for record in records],
        "plotly": get_plotlyjs(),
    }
    environment = Environment(
        loader=PackageLoader("kdlight.workbench.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("page.html.j2").render(content)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(file) as draft:
        draft.write_text(page, encoding="utf-8")


def _find_shared_folder(records: Sequence[Record]) -> str:
    return Path(os.path.commonpath([record.folder.path.absolute() for record in records])).name or "runs"


def _list_stages(records: Sequence[Record]) -> list[str]:
    """Return the stages whose PID (partial information decomposition) a run logged; embedding and logits come last."""
    found: dict[str, None] = {}
    for record in records:
        rows = record.folder.read_metrics() if record.folder.metrics.is_file() else {}
        for key in (key for row in rows.values() for key in row):
            split, _, rest = key.partition("/")
            stage, _, atom = rest.rpartition("/")
            if split in SPLITS and atom in ATOM_TITLES:
                found[stage] = None
    return sorted(found, key=lambda stage: ("stage" not in stage, stage))


def _make_picture(title: str, figure: go.Figure) -> Picture:
    html = figure.to_html(full_html=False, include_plotlyjs=False, config=PLOT_OPTIONS, default_width="100%")
    return Picture(title, html)


def _draw_curves(comparison: RunGroups, wanted: Mapping[str, tuple[Sequence[str], float]]) -> list[Picture]:
    drawn = {label: draw_curves(comparison, keys, label, factor) for label, (keys, factor) in wanted.items()}
    return [_make_picture(label.partition(",")[0], figure) for label, figure in drawn.items() if figure is not None]


def _draw_pid(comparison: RunGroups, stage: str) -> list[Picture]:
    drawn = {title: draw_curves(comparison, pid_keys(stage, atom), "bits") for atom, title in ATOM_TITLES.items()}
    return [_make_picture(title, figure) for title, figure in drawn.items() if figure is not None]


def read_number(record: Record, *path: str) -> float:
    """Return the number in ``result.json`` to which a path of keys leads; NaN if it is missing."""
    found: Any = record.result
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) else math.nan


MEASURES = {  # heading: (path in result.json, factor, digits)
    "top-1 %": (("test", "last", "accuracy"), 100, 2),
    "top-5 %": (("test", "last", "top5_accuracy"), 100, 2),
    "loss": (("test", "last", "loss"), 1, 4),
    "calibration error %": (("test", "last", "calibration_error"), 100, 2),
    "agreement %": (("test", "last", "agreement"), 100, 2),
    "KL to the teacher": (("test", "last", "kl_divergence"), 1, 4),
    "parameters": (("networks", "student", "parameters"), 1, 0),
    "FLOPs": (("networks", "student", "flops"), 1, 0),
    "teacher top-1 %": (("teacher_test", "accuracy"), 100, 2),
    "teacher top-5 %": (("teacher_test", "top5_accuracy"), 100, 2),
    "teacher calibration error %": (("teacher_test", "calibration_error"), 100, 2),
    "teacher parameters": (("networks", "teacher", "parameters"), 1, 0),
    "teacher FLOPs": (("networks", "teacher", "flops"), 1, 0),
}


def build_measure_table(comparison: RunGroups) -> Table:
    """Build a table of accuracy, calibration, agreement and size, with a row per measure and a column per group."""
    rows = []
    for heading, (path, factor, digits) in MEASURES.items():
        cells_of_row = []
        for runs in comparison.groups.values():
            summary = summarise([factor * read_number(run, *path) for run in select_finished(runs)])
            text = f"{summary.mean:,.{digits}f}" if summary.n else "–"
            shows_spread = digits and not math.isnan(summary.deviation)
            cells_of_row.append(f"{text} ± {summary.deviation:,.{digits}f}" if shows_spread else text)
        if set(cells_of_row) != {"–"}:
            rows.append([heading, *cells_of_row])
    return Table(["last weights, test set", *(name_group(comparison, group) for group in comparison.groups)], rows)


def _draw_points(comparison: RunGroups) -> list[Picture]:
    def reader(*path: str, factor: float) -> Any:
        return lambda record: factor * read_number(record, *path)

    agreement = draw_points(comparison, reader("test", "last", "agreement", factor=100), "%", None)
    teacher = reader("teacher_test", "calibration_error", factor=100)
    calibration = draw_points(comparison, reader("test", "last", "calibration_error", factor=100), "%", teacher)
    divergence = draw_points(comparison, reader("test", "last", "kl_divergence", factor=1), "nats", None)
    drawn = {
        "agreement with the teacher": agreement,
        "calibration error; diamond: the teacher's": calibration,
        "KL divergence from the teacher": divergence,
    }
    return [_make_picture(title, figure) for title, figure in drawn.items() if figure is not None]


def _draw_confusions(comparison: RunGroups) -> list[Picture]:
    pictures = []
    for group, runs in comparison.groups.items():
        counts = [run.result["confusion"]["last"] for run in select_finished(runs) if "confusion" in run.result]
        if counts:
            names = next(run.result["class_names"] for run in select_finished(runs) if "confusion" in run.result)
            figure = draw_confusion(np.sum([np.array(each) for each in counts], axis=0), names)
            pictures.append(_make_picture(name_group(comparison, group), figure))
    return pictures


def read_class_accuracy(runs: Sequence[Record]) -> dict[int, np.ndarray]:
    """Return, for each seed, the accuracies of all classes in percent; NaN for a class without test images."""
    found = {}
    for run in select_finished(runs):
        values = (run.result.get("class_accuracy") or {}).get("last")
        if values is not None and run.seed is not None:
            found[run.seed] = np.array([math.nan if value is None else 100 * value for value in values])
    return found


def _draw_gains(comparison: RunGroups) -> list[Picture]:
    """For each group that has a baseline, draw by how much its accuracy on each class exceeds the baseline's.

    Each run is compared with the baseline's run of the same seed, and the differences are averaged over the seeds.
    """
    gains, places, names = {}, {}, []
    for place, (group, runs) in enumerate(comparison.groups.items()):
        other = comparison.find_opposite(group)
        if other is None:
            continue
        ours, theirs = read_class_accuracy(runs), read_class_accuracy(comparison.groups[other])
        seeds = sorted(ours.keys() & theirs.keys())
        if seeds:
            name = name_group(comparison, group)
            gains[name] = np.mean([ours[seed] - theirs[seed] for seed in seeds], axis=0).tolist()
            places[name] = place
            names = next(run.result["class_names"] for run in select_finished(runs))
    if not gains:
        return []
    baseline = ", ".join(f"{key} {value}" for key, value in comparison.baseline.items())
    return [_make_picture(f"gain of each class over {baseline}", draw_class_gains(gains, names, places))]


def _build_difference_table(comparison: RunGroups) -> Table:
    groups = comparison.groups
    settings = find_differing_settings([runs[0] for runs in groups.values()])
    headings = ["setting", *(name_group(comparison, group) for group in groups)]
    return Table(headings, [[name, *values] for name, values in settings.items()])


def _list_commands(record: Record) -> list[str]:
    """Return the command that the user called, and a command that runs the saved configuration again.

    The second command is left out if the configuration cannot describe an object of a run that was made in Python.
    """
    config, place = record.folder.config, Path("runs/repeated", *record.folder.path.parts[-2:])
    again = shlex.join(["kdlight", "fit", "--config", str(config), "--trainer.default_root_dir", str(place)])
    called = str(record.result.get("command") or "")
    repeatable = config.is_file() and UNKNOWN not in config.read_text(encoding="utf-8")
    return [*([called] if called else []), *([again] if repeatable else [])]
