"""The log of a run's epochs as a table anyone can read: one row an epoch, whatever was logged when."""

import csv
import os
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from kdlight.runs.folder import RunFolder

OF_THE_RESULT = ("test/", "pid_test/")


class MetricsCSV(Logger):
    """Writes ``metrics.csv``.

    Lightning's `CSVLogger` writes a row per call (validation and training apart) and deletes the file of the run that
    it resumes; here the metrics of an epoch meet in one row and a resumed run goes on in the same file. What was
    measured on the test set belongs to ``result.json``.
    """

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder
        self.rows: dict[int, dict[str, Any]] = {}

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.folder.path.name

    @property
    def version(self) -> str:
        """There is one: the folder."""
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: ``config.yaml`` holds them."""

    def resume(self, completed_epochs: int) -> None:
        """Take the rows of the epochs that the checkpoint holds from the file of the stopped run."""
        if self.folder.metrics.is_file():
            logged = self.folder.read_metrics()
            self.rows = {epoch: dict(row) for epoch, row in logged.items() if epoch < completed_epochs}

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to the row of their epoch."""
        kept = {key: value for key, value in metrics.items() if not key.startswith(OF_THE_RESULT)}
        if kept.keys() - {"epoch"}:
            self.rows.setdefault(int(kept.pop("epoch")), {}).update(kept, step=step)

    @rank_zero_only
    def save(self) -> None:
        """Write the table whole, or leave the old one: a crash or a full disk cannot leave half of it."""
        if not self.rows:
            return
        columns = sorted({column for row in self.rows.values() for column in row} - {"step"})
        draft = self.folder.metrics.with_suffix(".csv.part")
        with draft.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["epoch", "step", *columns])
            writer.writeheader()
            writer.writerows({"epoch": epoch, **row} for epoch, row in sorted(self.rows.items()))
        os.replace(draft, self.folder.metrics)
