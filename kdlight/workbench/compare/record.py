"""A run as a row of a table, and the settings that are ignored when runs are compared."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kdlight.runs.folder import RunFolder

FINISHED, UNFINISHED, FAILED, UNREADABLE = "finished", "unfinished", "failed", "unreadable"
LOGS = "logs"  # the folder of the log files of a grid's runs; it lies beside the runs' folders
PUBLISHED = "published.json"  # test accuracies in % that other authors report; the file lies beside the runs' folders
# Settings that are left out when the settings of runs are compared: the seed, which is a field of `Record`, and those
# that do not change how the student is trained, such as folders, loggers and callbacks. A name also stands for the
# settings below it: trainer.logger stands for trainer.logger.save_dir, too.
IGNORED = (
    *("seed_everything", "ckpt_path", "resume_changed"),
    *(f"trainer.{name}" for name in ("default_root_dir", "logger", "callbacks", "enable_progress_bar", "plugins")),
    *(f"trainer.{name}" for name in ("enable_model_summary", "log_every_n_steps", "enable_checkpointing")),
    *("data.data_dir", "data.num_workers", "data.download", "model.teacher_cache.path"),
)


def write_labels(axes: Mapping[str, str]) -> str:
    """Return axes and labels of a run (see `Record`) as in its folder's name: ``method=kd,model.temperature=4``."""
    return ",".join(f"{axis}={label}" for axis, label in axes.items())


class Record(NamedTuple):
    """A run as a row of a table.

    Attributes:
        folder: The run's folder.
        state: "finished", "unfinished", "failed" or "unreadable".
        reason: Why the run is not finished.
        seed: The run's seed; None if it is unknown.
        axes: The run's label on each axis of its grid. An axis is what the grid varies, such as the method; see
            `kdlight ablate`. Empty if the run belongs to no grid.
        settings: The run's configuration by dotted names, as `kdlight.workbench.compare.records.flatten` returns it. A
            run that was read from ``runs.csv`` has only ``data`` and a hash of the configuration.
        result: The content of ``result.json``, or what ``runs.csv`` holds of it; empty if the run is not finished. Its
            key ``published`` is the accuracy that others report for this run, as a fraction. The key is missing if the
            grid states no such accuracy.
        curves: What the run logged, by epoch counted from 0, as read from ``curves.csv``. None: the run was read from
            its own folder, and `read_metrics` reads ``metrics.csv``.
    """

    folder: RunFolder
    state: str
    reason: str
    seed: int | None
    axes: dict[str, str]
    settings: dict[str, Any]
    result: dict[str, Any]
    curves: dict[int, dict[str, float]] | None = None

    def read_metrics(self) -> dict[int, dict[str, float]]:
        """Return what the run logged, by epoch counted from 0; an empty dict if it logged nothing."""
        if self.curves is not None:
            return self.curves
        return self.folder.read_metrics() if self.folder.metrics.is_file() else {}


def is_ignored(name: str) -> bool:
    """Return whether a setting is left out when the settings of runs are compared."""
    return any(name == ignored or name.startswith(f"{ignored}.") for ignored in IGNORED)
