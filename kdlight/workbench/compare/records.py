"""Read runs as rows of a table (state, settings and result), and find the settings by which runs differ."""

import glob
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from kdlight.errors import MissingFileError, UserError
from kdlight.runs.folder import RunFolder, list_runs
from kdlight.workbench.compare.kept_runs import RUNS_FILE, read_kept
from kdlight.workbench.compare.record import (
    FAILED,
    FINISHED,
    LOGS,
    PUBLISHED,
    UNFINISHED,
    UNREADABLE,
    Record,
    is_ignored,
)
from kdlight.yaml_files import read_yaml


def read_records(places: Iterable[str | Path]) -> list[Record]:
    """Read the runs in some places.

    Args:
        places: Each is one of these: the folder of one run; a folder that contains runs, such as that of a grid of
            `kdlight ablate`; a pattern of such folders, for example ``runs/digits/*``; a folder that `keep_runs` has
            written.

    Raises:
        MissingFileError: If there is no run in a place.
    """
    found: dict[Path, Record] = {}
    for place in places:
        named = Path(place).expanduser()
        folders = [named] if named.exists() else [Path(path) for path in sorted(glob.glob(str(named)))]
        kept = [folder for folder in folders if (folder / RUNS_FILE).is_file()]
        for folder in kept:
            found |= {record.folder.path: record for record in read_kept(folder)}
        runs = [run for folder in folders if folder not in kept for run in list_runs(folder)]
        if not runs and not kept:
            raise MissingFileError(
                f"'{place}': expected a run's folder, a folder with several runs, or a pattern of folders; found no run"
            )
        found |= {run: _read_record(run) for run in runs}
        for folder in folders:
            found |= {run: record for run, record in _find_without_folder(folder).items() if run not in found}
    return list(found.values())


def _read_record(path: Path) -> Record:
    folder = RunFolder(path)
    axes, seed = _read_place_in_grid(path)
    state, reason, settings, result = FINISHED, "", {}, {}
    try:
        if folder.config.is_file():
            settings = flatten(read_yaml(folder.config))
        if folder.result.is_file():
            result = {**folder.read_result(), **_read_published(path)}
        elif folder.locate_nonfinite(0).is_file():
            state, reason = FAILED, "the loss became NaN or infinite"
        else:
            state, reason = UNFINISHED, "not ended; --ckpt_path auto continues it"
    except (OSError, ValueError, KeyError) as error:
        state, reason = UNREADABLE, " ".join(str(error).split())
    given = result.get("seed", settings.get("seed_everything"))
    return Record(folder, state, reason, given if isinstance(given, int) else seed, axes, settings, result)


def _find_without_folder(folder: Path) -> dict[Path, Record]:
    """Return a grid's runs that have only a log, because their configuration was refused or they have just begun."""
    found = {}
    for log in sorted((folder / LOGS).glob("*=*.log")):
        group, _, seed = log.stem.rpartition(",")
        path = folder / group / seed
        if not path.exists():
            lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
            axes, number = _read_place_in_grid(path)
            failed = any(line.startswith(("kdlight: ", "Traceback ")) for line in lines)
            state, reason = (FAILED, lines[-1]) if failed else (UNFINISHED, "no step yet; kdlight ablate continues it")
            found[path] = Record(RunFolder(path), state, reason, number, axes, {}, {})
    return found


def _read_place_in_grid(path: Path) -> tuple[dict[str, str], int | None]:
    """Read a run's label on each axis of its grid, and its seed, from a path such as ``method=kd,labels=6/seed=0``.

    For a path of another form, there are no labels, and the seed is None.
    """
    key, _, seed = path.name.partition("=")
    parts = [part.partition("=") for part in path.parent.name.split(",")]
    if key != "seed" or not seed.isdigit() or not all(equals for _, equals, _ in parts):
        return {}, None
    return {axis: label for axis, _, label in parts}, int(seed)


def _read_published(run: Path) -> dict[str, float]:
    """Return ``{"published": accuracy}`` with the accuracy that others report for this run; {} if there is none."""
    file = run.parent.parent / PUBLISHED
    values = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    value = values.get(run.parent.name) if isinstance(values, dict) else None
    return {"published": value / 100} if isinstance(value, int | float) else {}


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return every value of a configuration by its dotted name, without the levels ``init_args``.

    The value of an argument that takes an object is the short name of its class: ``model: KD``,
    ``model.student: resnet8``.
    """
    if isinstance(config, Mapping):
        if "class_path" in config:
            inner = {**(config.get("init_args") or {}), **(config.get("dict_kwargs") or {})}
            short = str(config["class_path"]).rpartition(".")[2]
            return {prefix.removesuffix("."): short, **flatten(inner, prefix)} if inner else {prefix[:-1]: short}
        return {name: value for key, item in config.items() for name, value in flatten(item, f"{prefix}{key}.").items()}
    name = prefix.removesuffix(".")
    if isinstance(config, list):
        return {name: yaml.safe_dump(config, default_flow_style=True).strip()}
    return {name: config}


def find_varied_settings(records: Sequence[Record]) -> dict[str, list[str]]:
    """Find settings that suffice to tell differently configured runs apart, and return them with each run's value.

    For runs of a grid, these are the grid's axes. For other runs, settings are tried one by one, those with the fewest
    dots in their names first. A setting is kept only if it differs between runs for which all settings kept before are
    equal. For example, an argument that has the same value in all runs of a method is left out if the method is kept.
    Settings in `kdlight.workbench.compare.record.IGNORED` are not tried.

    Returns:
        The values of each setting, one per run, by the setting's name.
    """
    axes = list(dict.fromkeys(axis for record in records for axis in record.axes))
    if axes and all(record.axes for record in records):
        return {axis: [record.axes.get(axis, "–") for record in records] for axis in axes}
    names = dict.fromkeys(name for record in records for name in record.settings)
    candidates = [name for name in names if not is_ignored(name)]
    kept: dict[str, list[str]] = {}
    groups: list[tuple[str, ...]] = [()] * len(records)
    known = [bool(record.settings) for record in records]
    for name in sorted(candidates, key=lambda name: name.count(".")):
        values = [_format_value(record.settings.get(name)) for record in records]
        refined = [(*group, value) for group, value in zip(groups, values, strict=True)]
        before, after = ({each for each, there in zip(of, known, strict=True) if there} for of in (groups, refined))
        if len(after) > len(before):
            kept[name], groups = values, refined
    return kept


def find_differing_settings(records: Sequence[Record]) -> dict[str, list[str]]:
    """Return each setting that differs between runs, with one value per run. Settings in `IGNORED` are left out."""
    names = sorted({name for record in records for name in record.settings if not is_ignored(name)})
    shown = {name: [_format_value(record.settings.get(name)) for record in records] for name in names}
    return {name: values for name, values in shown.items() if len(set(values)) > 1}


def _format_value(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def select_records(records: Sequence[Record], conditions: Sequence[str]) -> list[Record]:
    """Return the runs that fulfil all conditions of the form NAME=VALUE, such as ``method=rid``.

    NAME is an axis of the runs' grid, the dotted name of a setting, or "seed".

    Raises:
        UserError: If a condition does not have this form, or no run fulfils all conditions.
    """
    kept = list(records)
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals:
            raise UserError(f"--where {condition}: expected NAME=VALUE, such as method=rid or data.batch_size=32")
        known = {**{key: None for record in records for key in (*record.axes, *record.settings)}, "seed": None}
        if name not in known:
            raise UserError(f"--where {condition}: the runs have no setting '{name}'")
        kept = [record for record in kept if _find_value(record, name) == value]
    if not kept:
        raise UserError(f"--where {' '.join(conditions)}: expected at least one such run, got none of {len(records)}")
    return kept


def _find_value(record: Record, name: str) -> str:
    if name == "seed":
        return str(record.seed)
    return record.axes.get(name) or _format_value(record.settings.get(name))
