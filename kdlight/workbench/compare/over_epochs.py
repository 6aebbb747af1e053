"""Read what runs logged over their epochs, and average runs at each epoch, for pictures of curves."""

from collections import Counter
from collections.abc import Sequence

from kdlight.workbench.compare.record import Record
from kdlight.workbench.compare.statistics import Summary, summarise

# The two prefixes of the keys under which a run logs a PID (partial information decomposition): the first is used if
# the PID was measured on validation images, the second if the run has no validation split.
SPLITS = ("pid", "pid_train")


def pid_keys(stage: str | None, name: str) -> list[str]:
    """Return the two possible keys of one value of the PID. A run has logged the value under only one of them."""
    return [f"{split}/{stage}/{name}" for split in SPLITS]


def read_logged(run: Record, keys: Sequence[str], factor: float = 1.0) -> dict[int, float]:
    """Return ``{epoch: factor * value}`` for the first of `keys` that the run has logged; epochs count from 1."""
    rows = run.read_metrics()
    for key in keys:
        found = {epoch + 1: factor * row[key] for epoch, row in rows.items() if key in row}
        if found:
            return found
    return {}


def average_runs(runs: Sequence[dict[int, float]]) -> dict[int, Summary]:
    """Summarise the values of several runs, epoch by epoch.

    Runs without any value are ignored. An epoch is left out if fewer than half of the other runs have a value for it.
    Without this rule, if an atom (a part of the PID) could be estimated for only one of ten runs at some epoch, this
    run's value would look like the mean of all ten.

    Args:
        runs: The values of each run by epoch.
    """
    there = [run for run in runs if run]
    counts = Counter(epoch for run in there for epoch in run)
    epochs = sorted(epoch for epoch, count in counts.items() if 2 * count >= len(there))
    return {epoch: summarise([run[epoch] for run in there if epoch in run]) for epoch in epochs}
