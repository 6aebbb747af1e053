"""The results of a grid (see `kdlight ablate`) in two small files for version control.

``runs.csv`` has one row per run, and ``curves.csv`` has one row per run and epoch. `kdlight compare RUNS --keep FOLDER`
writes both files; `kdlight compare FOLDER` reads them in place of the runs. In this way a published table can be
printed again without the runs.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kdlight.errors import UserError
from kdlight.files import replace_file
from kdlight.runs.folder import RunFolder
from kdlight.workbench.compare.record import FAILED, FINISHED, Record, is_ignored, write_labels

RUNS_FILE, CURVES_FILE = "runs.csv", "curves.csv"
DIGITS = 9  # significant digits that are kept; tables show fewer, so nothing in a table changes
# Parts of a result that are not kept. The command may contain paths of the machine, the seed has a column anyway, and
# no table of `kdlight compare` shows the others.
LEFT_OUT = ("confusion", "class_accuracy", "class_names", "command", "seed")
FINAL = ("val/accuracy",)  # of the values of the last epoch, only those that tables show are kept
FAILURE = "failed"  # the column that says why a run failed; empty for a finished run
# Two columns: a hash of the settings that change what a run computes, and the name of the data module's class.
SETTINGS = ("configuration", "data")
TEACHER = "model.teacher_weights"  # a setting that the hash leaves out
# For each epoch, these values are kept, and those whose names begin with pid.
CURVES = ("train/loss", "val/accuracy", "val/loss")


def keep_runs(records: Sequence[Record], folder: Path) -> None:
    """Write the finished and the failed runs of a grid. Existing files are replaced.

    Args:
        records: The runs of a grid.
        folder: The folder in which the files are written.

    Raises:
        UserError: If a run belongs to no grid, or is neither finished nor failed.
    """
    for record in records:
        if not record.axes or record.state not in (FINISHED, FAILED):
            what = "belongs to no grid" if not record.axes else f"is {record.state}"
            raise UserError(
                f"--keep: expected finished or failed runs of a grid, got {record.folder.path}, which {what}"
            )
    rows, curves = [], []
    for record in records:
        place = {**record.axes, "seed": record.seed}
        result = {name: value for name, value in record.result.items() if name not in (*LEFT_OUT, *place)}
        result["final"] = {name: result["final"][name] for name in FINAL if name in result.get("final", {})}
        config = hash_settings(record.settings)
        (flat,) = pd.json_normalize(result).to_dict("records")
        numbers = {str(name): value for name, value in flat.items() if isinstance(value, int | float | str)}
        failure = {FAILURE: record.reason} if record.state == FAILED else {}
        rows.append({**place, "configuration": config, "data": record.settings.get("data"), **numbers, **failure})
        for epoch, values in record.read_metrics().items():
            kept = {name: value for name, value in values.items() if name in CURVES or name.startswith("pid")}
            if kept:
                curves.append({**place, "epoch": epoch, **kept})
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((RUNS_FILE, rows), (CURVES_FILE, curves)):
        with replace_file(folder / name) as draft:
            pd.DataFrame(content).to_csv(draft, index=False, float_format=f"%.{DIGITS}g")


def hash_settings(settings: Mapping[str, Any]) -> str:
    """Return a hash of the settings that change what a run computes; the numbers 1 and 1.0 count as the same value.

    The path of the teacher's weights is left out, because the result has the checksum of their file.
    """
    kept = {name: value for name, value in settings.items() if not is_ignored(name) and name != TEACHER}
    same = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in kept.items()
    }
    return hashlib.sha256(repr(sorted(same.items())).encode()).hexdigest()[:12]


def read_kept(folder: Path) -> list[Record]:
    """Read what `keep_runs` wrote.

    Raises:
        UserError: If a file is missing or not in the form that `keep_runs` writes.
    """
    try:
        head = list(pd.read_csv(folder / RUNS_FILE, nrows=0).columns)
        axes = head[: head.index("seed")]
        rows, curves = (
            pd.read_csv(folder / name, dtype=dict.fromkeys(axes, str), keep_default_na=False, na_values=[""])
            for name in (RUNS_FILE, CURVES_FILE)
        )
        return [_read_row(folder, axes, row, curves) for row in rows.to_dict("records")]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder}: {RUNS_FILE} and {CURVES_FILE} are not as kdlight compare RUNS --keep writes them ({error}); "
            "write them again"
        ) from error


def _read_row(folder: Path, axes: Sequence[str], row: Mapping[Any, Any], curves: pd.DataFrame) -> Record:
    labels, seed = {axis: str(row[axis]) for axis in axes}, int(row["seed"])
    result: dict[str, Any] = {}
    for name, value in row.items():
        if name not in (*axes, *SETTINGS, FAILURE) and not pd.isna(value):
            *above, last = str(name).split(".")
            inner = result
            for key in above:
                inner = inner.setdefault(key, {})
            inner[last] = value
    chosen = curves[curves["seed"] == seed]
    for axis, label in labels.items():
        chosen = chosen[chosen[axis] == label]
    places = (*axes, "seed", "epoch")
    logged = {
        int(line["epoch"]): {
            str(name): value for name, value in line.items() if name not in places and not pd.isna(value)
        }
        for line in chosen.to_dict("records")
    }
    path = folder / write_labels(labels) / f"seed={seed}"
    settings = {name: row[name] for name in SETTINGS if name in row}
    failure = row.get(FAILURE)
    state, reason = (FINISHED, "") if failure is None or pd.isna(failure) else (FAILED, str(failure))
    return Record(RunFolder(path), state, reason, seed, labels, settings, result, logged)
