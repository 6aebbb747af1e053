"""The paths of a run's files, and how to find the folder of a new run or of a run to continue."""

import csv
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from kdlight.errors import MissingFileError, UserError
from kdlight.yaml_files import read_yaml

SHOWN = ("test", "seconds")  # the entries of a result that comparisons read
WEIGHTS = ("last", "best")  # the checkpoints that a run keeps
CONFIGS, RUNS = "configs", "runs"
LOGGERS, PROTOCOLS = "loggers/*", ("published_protocol.yaml",)  # configurations that do not change a folder's name


class RunFolder(NamedTuple):
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    def locate_earlier_config(self, number: int) -> Path:
        """Return the path of a configuration that a later change has replaced; number 1 is the oldest one."""
        return self.path / f"config.{number}.yaml"

    @property
    def metrics(self) -> Path:
        """The logged metrics, one row per epoch."""
        return self.path / "metrics.csv"

    @property
    def result(self) -> Path:
        """The result, which is written when the run has ended."""
        return self.path / "result.json"

    @property
    def test(self) -> Path:
        """The file that `kdlight test` writes: the measurements of a checkpoint on the test set."""
        return self.path / "test.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of ``last.ckpt`` and ``best.ckpt``."""
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        """The file that `kdlight predict` writes."""
        return self.path / "predictions.csv"

    @property
    def preparation(self) -> Path:
        """How images are prepared for the student, and the names of its classes."""
        return self.path / "preparation.json"

    @property
    def teacher(self) -> Path:
        """The weights of a teacher that is untrained or was passed from Python as a module: no other file has them."""
        return self.path / "teacher.safetensors"

    def locate_nonfinite(self, rank: int) -> Path:
        """Return the path of the file that a process writes when its loss is NaN or infinite."""
        return self.path / (f"nonfinite-{rank}.pt" if rank else "nonfinite.pt")

    def locate_checkpoint(self, name: str) -> Path:
        """Return the path of the checkpoint "last" or "best"."""
        return self.checkpoints / f"{name}.ckpt"

    def has_ended(self) -> bool:
        """Return whether the run has ended since it was last started.

        Each start writes ``config.yaml`` again. If the run has not ended since, its result is older than this file.
        """
        return self.result.is_file() and self.result.stat().st_mtime_ns >= self.config.stat().st_mtime_ns

    def read_metrics(self) -> dict[int, dict[str, float]]:
        """Read the rows of ``metrics.csv`` by epoch; metrics without a value are left out."""
        with self.metrics.open(newline="", encoding="utf-8") as stream:
            return {
                int(row.pop("epoch")): {column: float(value) for column, value in row.items() if value != ""}
                for row in csv.DictReader(stream)
            }

    def read_config(self) -> dict[str, Any]:
        """Read ``config.yaml``.

        Raises:
            MissingFileError: If the run has none.
            UserError: If the file is not what a run writes.
        """
        content = read_yaml(self.config)
        parts = ("trainer", "model", "data")
        if not isinstance(content, dict) or not all(isinstance(content.get(part), dict) for part in parts):
            raise UserError(
                f"{self.config}: expected a run's configuration, with the mappings {', '.join(parts)}; restore the file"
            )
        return content

    def read_result(self) -> dict[str, Any]:
        """Read ``result.json``.

        Raises:
            MissingFileError: If the run has not ended.
            UserError: If the file is not what a run writes.
        """
        if not self.result.is_file():
            raise MissingFileError(
                f"{self.result} does not exist: expected a finished run; let it end, or go on with --ckpt_path last"
            )
        try:
            content = json.loads(self.result.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            content = None
        lacking = [key for key in SHOWN if key not in content] if isinstance(content, dict) else list(SHOWN)
        if lacking:
            raise UserError(
                f"{self.result}: expected a run's result, got a file without {', '.join(lacking)}; go on with "
                "--ckpt_path last, which writes the file again"
            )
        return dict(content)


def choose_folder(configs: list[str], root: Path = Path(RUNS)) -> Path:
    """Return the folder of a run that has these configuration files.

    The run of ``configs/digits/rid.yaml`` has the folder ``runs/digits/rid``. The names of several files are joined in
    their order: for ``pairs/resnet56-resnet20.yaml`` and ``methods/dkd.yaml``, the folder is
    ``runs/pairs/resnet56-resnet20+dkd``. Files of ``loggers/`` and ``published_protocol.yaml`` do not become part of
    the name, so that the folder is the same with and without them.
    """
    if not configs:
        return root / "unnamed"
    configs = [config for config in configs if not Path(config).match(LOGGERS) and Path(config).name not in PROTOCOLS]
    configs = configs or ["unnamed"]
    parents = Path(configs[0]).parent.parts
    if CONFIGS in parents:
        parents = parents[len(parents) - parents[::-1].index(CONFIGS) :]
    elif Path(configs[0]).is_absolute():
        parents = ()
    parts = [part for part in parents if part not in (".", "..")]
    return root.joinpath(*parts, "+".join(Path(config).stem for config in configs))


def find_config(checkpoint: str) -> str | None:
    """Return the configuration that a checkpoint's path implies; None if the path is not in a run's default folder.

    For example, the run of ``digits/teacher.yaml`` writes ``runs/digits/teacher/checkpoints/best.ckpt``.
    """
    parts = Path(checkpoint).parts[1:]
    if Path(checkpoint).parts[:1] != (RUNS,) or len(parts) < 3 or parts[-2] != "checkpoints":
        return None
    return f"{Path(*parts[:-2]).as_posix()}.yaml"


def find_folder(checkpoint: Path) -> RunFolder | None:
    """Return the run that contains a checkpoint; None if the file is not in the folder of a run."""
    folder = RunFolder(checkpoint.parent.parent)
    return folder if checkpoint.parent == folder.checkpoints and folder.config.is_file() else None


def list_runs(folder: Path) -> list[Path]:
    """Return the folder if it is a run's, otherwise the folders of all runs below it, in alphabetical order."""
    if not folder.is_dir():
        return []
    if any(file.is_file() for file in (RunFolder(folder).config, RunFolder(folder).result)):
        return [folder]
    return sorted({file.parent for name in ("config.yaml", "result.json") for file in folder.rglob(name)})


def find_latest(base: Path, checkpoint: str) -> RunFolder:
    """Return the newest of the runs in ``base``, ``base-2`` … that has a certain checkpoint.

    Folders without this checkpoint are skipped; their runs may have ended with an error at the start, or stopped before
    the first checkpoint. If no folder has the checkpoint, ``base`` is returned.

    Args:
        base: The folder without a number.
        checkpoint: "last" or "best".
    """
    pattern = re.compile(rf"{re.escape(base.name)}(?:-(\d+))?")
    found = [(int(match[1] or 1), path) for path in base.parent.glob("*") if (match := pattern.fullmatch(path.name))]
    for _, path in sorted(found, reverse=True):
        if RunFolder(path).locate_checkpoint(checkpoint).is_file():
            return RunFolder(path)
    return RunFolder(base)


def add_number(base: Path, number: int) -> Path:
    """Return the number-th of the folders ``base``, ``base-2``, ``base-3`` …."""
    return base if number == 1 else base.with_name(f"{base.name}-{number}")
