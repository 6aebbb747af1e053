"""A grid file, and the runs that it asks for.

::

    base: [pairs/resnet56-resnet20.yaml]      # files of every run; not needed if an axis gives each run a file
    options: {trainer.max_epochs: 40}         # options of every run, which override all files
    axes:
      method: {kd: methods/kd.yaml, none: methods/supervised.yaml}        # labels, each with a file or a list of files
      labels: {"6": {data.train_per_class: 6}, all: {}}                   # labels, each with options
      model.temperature: [1, 4]                                           # an option and its values
    seeds: 3                                  # 0, 1, 2; or a list
    leave_out: [{method: none, model.temperature: 4}, {method: kd, seed: 2}]
    published: {kd: {all: {"4": 70.66}}}      # test accuracies in % that others report, by the labels of the axes
    threads: 1                                # CPU threads of each run; the results depend on them, but not on --jobs

In an option's value, ``{seed}`` is replaced by the run's seed, ``{method}`` by the run's label on the axis ``method``.
"""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kdlight.cli.imports import suggest
from kdlight.cli.shipped import FOLDER as CONFIGS
from kdlight.cli.shipped import find_shipped_folder
from kdlight.errors import UserError
from kdlight.runs.folder import RUNS, RunFolder
from kdlight.workbench.ablate.published import read_published
from kdlight.workbench.compare.record import write_labels
from kdlight.yaml_files import read_yaml

GRIDS = "grids"  # a folder below the shipped configurations
KEYS = ("base", "options", "axes", "seeds", "leave_out", "published", "threads", "name")
SUFFIXES = (".yaml", ".yml")
LABEL = re.compile(r"[^/\\,=\s\0][^/\\,=\0]*")  # part of the name of a run's folder: ``axis=label,axis=label``


class AxisValue(NamedTuple):
    """One value of an axis: the files and options that it adds to a configuration."""

    label: str
    files: tuple[str, ...]
    options: dict[str, Any]


class Cell(NamedTuple):
    """One run of a grid.

    Attributes:
        axes: The label of each axis.
        seed: The seed.
        files: The configuration files, in the order in which they are merged.
        options: The value of each option, by the option's dotted name. The options override the files.
        folder: The run's folder.
    """

    axes: dict[str, str]
    seed: int
    files: tuple[str, ...]
    options: dict[str, Any]
    folder: RunFolder

    @property
    def labels(self) -> dict[str, str]:
        """The label of each axis, and the seed."""
        return {**self.axes, "seed": str(self.seed)}

    @property
    def group(self) -> str:
        """The cell's name without the seed: ``method=rid,labels=6``."""
        return write_labels(self.axes) or "run"

    @property
    def name(self) -> str:
        """The cell's name: ``method=rid,labels=6/seed=0``."""
        return f"{self.group}/seed={self.seed}"

    def list_arguments(self) -> list[str]:
        """Return the arguments of ``kdlight fit`` for this run."""
        options = {**self.options, "seed_everything": self.seed, "trainer.default_root_dir": str(self.folder.path)}
        written = [f"--{name}={_write_value(value)}" for name, value in options.items()]
        return [*(f"--config={file}" for file in self.files), *written]


class Grid(NamedTuple):
    """The runs that a grid file asks for.

    Attributes:
        name: The name in the file, or the file's stem; the runs are in ``runs/<name>``.
        root: The folder of the runs.
        cells: The runs; those that differ only in the seed follow one another.
        threads: CPU threads of each run.
        published: Test accuracies in % that others report, by `Cell.group`.
    """

    name: str
    root: Path
    cells: tuple[Cell, ...]
    threads: int
    published: dict[str, float]


def read_grid(grid: str | Path | Mapping[str, Any], *, runs: Path = Path(RUNS)) -> Grid:
    """Read a grid from a file, or from a mapping of the same form, which should also have a ``name``.

    Raises:
        UserError: If something in the grid is wrong; the message names the wrong key or value.
    """
    if isinstance(grid, Mapping):
        content, where, beside, name = dict(grid), "grid", Path(), str(grid.get("name") or "grid")
    else:
        file = _find(Path(grid))
        content, where, beside, name = read_yaml(file), str(file), file.parent, file.stem
    if not isinstance(content, Mapping):
        raise UserError(f"{where}: expected a mapping with 'axes', got {type(content).__name__}")
    for key in content:
        if key not in KEYS:
            raise UserError(f"{where}: there is no key {key!r} in a grid{suggest(str(key), KEYS)}")
    name = str(content.get("name") or name)
    _require_label(where, "name", name)
    axes = _read_axes(where, content.get("axes", {}), beside)
    base = _find_files(where, "base", content.get("base", []), beside)
    labels = {axis: [value.label for value in values] for axis, values in axes.items()}
    seeds = _read_seeds(where, content.get("seeds", 1))
    left_out = _read_left_out(where, content.get("leave_out", []), {**labels, "seed": list(map(str, seeds))})
    options = content.get("options", {})
    if not isinstance(options, Mapping):
        raise UserError(f"{where}: expected 'options' to be a mapping of option names to values, got {options!r}")
    every = (
        _make_cell(dict(zip(axes, values, strict=True)), seed, base, options, runs / name)
        for values in itertools.product(*axes.values())
        for seed in seeds
    )
    cells = tuple(cell for cell in every if not any(one.items() <= cell.labels.items() for one in left_out))
    if not cells:
        raise UserError(f"{where}: leave_out leaves no run; expected at least one combination")
    for cell in cells:
        if not cell.files:
            raise UserError(f"{where}: {cell.group} names no configuration file; give one in 'base' or in an axis")
    threads, published = _read_threads(where, content.get("threads", 1)), content.get("published", {})
    return Grid(name, runs / name, cells, threads, read_published(where, published, labels))


def _find(file: Path) -> Path:
    """Return the file. If it does not exist and a shipped grid has its name, such as ``demo.yaml``, return the grid."""
    shipped = find_shipped_folder() / GRIDS / file.name
    named = not file.exists() and file.parent in (Path(), Path(GRIDS), Path(CONFIGS) / GRIDS)
    return shipped if named and shipped.is_file() else file


def _read_axes(where: str, given: Any, beside: Path) -> dict[str, list[AxisValue]]:
    if not isinstance(given, Mapping):
        raise UserError(f"{where}: expected 'axes' to be a mapping of names to values, got {given!r}")
    return {str(axis): _read_values(where, str(axis), values, beside) for axis, values in given.items()}


def _read_values(where: str, axis: str, given: Any, beside: Path) -> list[AxisValue]:
    """Return the values of an axis, which are written as a mapping or as a list."""
    _require_label(where, "axes", axis)
    if isinstance(given, Mapping):
        values = [_read_value(f"{where}: axes.{axis}", str(label), value, beside) for label, value in given.items()]
    elif isinstance(given, list):
        values = [AxisValue(_write_value(value), (), {axis: value}) for value in given]
    else:
        raise UserError(f"{where}: axes.{axis}: expected a mapping of labels, or a list of values, got {given!r}")
    if not values:
        raise UserError(f"{where}: axes.{axis} has no value; expected at least one")
    for value in values:
        _require_label(where, f"axes.{axis}", value.label)
    if len({value.label for value in values}) < len(values):
        raise UserError(f"{where}: axes.{axis} has the same value twice; expected different values")
    return values


def _read_value(where: str, label: str, value: Any, beside: Path) -> AxisValue:
    if isinstance(value, Mapping):
        options = {str(name): option for name, option in value.items() if name != "config"}
        return AxisValue(label, _find_files(where, "config", value.get("config", []), beside), options)
    return AxisValue(label, _find_files(where, label, value, beside), {})


def _find_files(where: str, key: str, given: Any, beside: Path) -> tuple[str, ...]:
    """Return each file: its path if it lies beside the grid, else its name, by which `kdlight fit` finds the file."""
    files = given if isinstance(given, list) else [given]
    for file in files:
        if not isinstance(file, str) or not file.endswith(SUFFIXES):
            raise UserError(f"{where}: {key}: expected YAML files or, for a label, a mapping of options, got {file!r}")
    return tuple(str(beside / file) if (beside / file).is_file() else file for file in files)


def _read_seeds(where: str, given: Any) -> list[int]:
    seeds = list(range(given)) if isinstance(given, int) and not isinstance(given, bool) else given
    whole = isinstance(seeds, list) and all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"{where}: expected 'seeds' to be a count above 0 or a list of different seeds, got {given!r}")
    return seeds


def _read_threads(where: str, given: Any) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise UserError(f"{where}: expected 'threads' to be a whole number above 0, got {given!r}")
    return given


def _read_left_out(where: str, given: Any, labels: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    if not isinstance(given, list) or not all(isinstance(one, Mapping) and one for one in given):
        raise UserError(f"{where}: expected 'leave_out' to be a list such as [{{method: none}}], got {given!r}")
    for one in given:
        for axis, label in one.items():
            known = labels.get(str(axis), ())
            if str(label) not in known:
                right = f"{axis} to be one of {', '.join(known)}" if known else f"one of {', '.join(labels)}"
                raise UserError(f"{where}: leave_out: expected {right}, got {{{axis}: {label}}}")
    return [{str(axis): str(label) for axis, label in one.items()} for one in given]


def _make_cell(
    values: Mapping[str, AxisValue], seed: int, base: tuple[str, ...], options: Mapping[str, Any], root: Path
) -> Cell:
    axes = {axis: value.label for axis, value in values.items()}
    files = (*base, *(file for value in values.values() for file in value.files))
    own = {name: option for value in values.values() for name, option in value.options.items()}
    cell = Cell(axes, seed, files, {}, RunFolder(root))
    written = {name: _insert_labels(option, cell.labels) for name, option in {**options, **own}.items()}
    return cell._replace(options=written, folder=RunFolder(root / cell.name))


def _insert_labels(value: Any, labels: Mapping[str, str]) -> Any:
    """In a text, replace each key of ``labels`` in braces, such as ``{method}``, by its label."""
    if isinstance(value, str):
        for axis, label in labels.items():
            value = value.replace(f"{{{axis}}}", label)
    return value


def _require_label(where: str, key: str, label: str) -> None:
    if not LABEL.fullmatch(label) or label in (".", ".."):
        raise UserError(
            f"{where}: {key}: {label!r} becomes part of a folder's name: expected text without '/', ',' or '='; "
            "choose another name or label, as in {label: file} or {label: {option: value}}"
        )


def _write_value(value: Any) -> str:
    """Write a value as it is written on the command line."""
    return value if isinstance(value, str) else json.dumps(value)
