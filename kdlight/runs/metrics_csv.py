"""Log a run as a CSV table with one row per epoch."""

import csv
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from kdlight.files import replace_file
from kdlight.runs.folder import RunFolder

#: Keys with this word before the first slash belong to values that were measured on the test set. Underscores separate
#: the words of a key: test/…, test_last/…, pid_test/….
OF_THE_RESULT = "test"


class MetricsCSV(Logger):
    """Writes ``metrics.csv``.

    Lightning's `CSVLogger` writes a row for each call of `log_metrics`: in an epoch, one for validation and another for
    training. It deletes the file when a run is resumed. This logger writes one row for each epoch, and a resumed run
    continues the file. Values measured on the test set are left out, because they are in ``result.json``.
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
        """Empty, because the folder's name alone identifies the run."""
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing, because ``config.yaml`` holds the hyper-parameters."""

    def resume(self, epoch: int, row: dict[str, Any]) -> None:
        """Go on from a checkpoint: take the rows of earlier epochs from the file, and drop the file's other rows.

        Args:
            epoch: The epoch in which the checkpoint was written.
            row: The row of this epoch that the checkpoint has stored; empty if nothing had been logged.
        """
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
        """Write the table atomically."""
        if not self.rows:
            return
        columns = sorted({column for row in self.rows.values() for column in row} - {"step"})
        with replace_file(self.folder.metrics) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["epoch", "step", *columns])
            writer.writeheader()
            writer.writerows({"epoch": epoch, **row} for epoch, row in sorted(self.rows.items()))
