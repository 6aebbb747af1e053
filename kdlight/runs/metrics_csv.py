"""The log of a run's epochs as a table anyone can read: one row an epoch, whatever was logged when."""

import csv
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from kdlight.files import replacing
from kdlight.runs.folder import RunFolder

#: A word of a key's first part where the value was measured on the test set: test, test_last, pid_test, …
OF_THE_RESULT = "test"


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

    def resume(self, epoch: int, row: dict[str, Any]) -> None:
        """Take the rows before the checkpoint's epoch from the file of the stopped run, and that epoch's from it."""
        logged = self.folder.read_metrics() if self.folder.metrics.is_file() else {}
        before = {place: logged[place] for place in logged if place < epoch}
        self.rows = {place: {**earlier, "step": int(earlier["step"])} for place, earlier in before.items()}
        if row:
            self.rows[epoch] = dict(row)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to the row of their epoch."""
        kept = {key: value for key, value in metrics.items() if OF_THE_RESULT not in key.partition("/")[0].split("_")}
        if kept.keys() - {"epoch"}:
            self.rows.setdefault(int(kept.pop("epoch")), {}).update(kept, step=step)

    @rank_zero_only
    def save(self) -> None:
        """Write the table whole, or leave the old one."""
        if not self.rows:
            return
        columns = sorted({column for row in self.rows.values() for column in row} - {"step"})
        with replacing(self.folder.metrics) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["epoch", "step", *columns])
            writer.writeheader()
            writer.writerows({"epoch": epoch, **row} for epoch, row in sorted(self.rows.items()))
