"""``kdlight compare RUN…``: finished runs as a table, and their PID over the epochs as a picture."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kdlight.errors import UserError
from kdlight.files import given_path
from kdlight.runs.folder import RunFolder


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("kdlight compare", description=__doc__, allow_abbrev=False)
    parser.add_argument("runs", nargs="+", type=given_path, metavar="RUN", help="folder of a finished run")
    parser.add_argument("--stage", help="stage of the PID (stage1, …, embedding, logits); the deepest stage by default")
    parser.add_argument("--plot", type=given_path, metavar="FILE", help="save the PID over the epochs as a picture")
    options = parser.parse_args(arguments[1:])
    compare([RunFolder(path) for path in options.runs], options.stage, options.plot)


def compare(runs: Sequence[RunFolder], stage: str | None = None, picture: Path | None = None) -> None:
    """Print the table of the runs and, where a file is given, save the picture.

    Args:
        runs: Finished runs.
        stage: The stage whose PID is shown; None: the deepest that a run measured.
        picture: File of the picture; its suffix says the format.

    Raises:
        MissingFileError: If a run has not ended.
        UserError: If no run measured that stage, or the picture's format is unknown.
    """
    results = [run.read_result() for run in runs]
    stage = stage or deepest_stage(results)
    if stage is not None and not any(stage in result["pid_test"] for result in results):
        measured = sorted({name for result in results for name in result["pid_test"]})
        raise UserError(f"no run measured the PID of '{stage}'; expected one of {', '.join(measured) or 'none'}")
    Console().print(table(runs, results, stage))
    if picture is not None:
        if stage is None:
            raise UserError("none of the runs measured a PID, so there is nothing to plot; add the callback PIDMonitor")
        from kdlight.workbench.compare.picture import save_pid_picture

        save_pid_picture(runs, stage, picture)
        print(f"saved {picture}")


def deepest_stage(results: Sequence[dict[str, Any]]) -> str | None:
    """The last stage that a run measured, which the RID paper reports; None where none measured any."""
    stages = [name for result in results for name in result["pid_test"] if name.startswith("stage")]
    return max(stages, key=lambda name: int(name.removeprefix("stage")), default=None)


COLUMNS = {
    "redundant": "red",
    "unique_teacher": "uni T",
    "unique_student": "uni S",
    "synergistic": "syn",
    "information_teacher": "I(Y;T)",
    "information_student": "I(Y;S)",
}


def table(runs: Sequence[RunFolder], results: Sequence[dict[str, Any]], stage: str | None) -> Table:
    """One row a run: test accuracy in percent, the PID of the last weights on the test set in bits, seconds.

    "last" is the accuracy of the last epoch, "selected" that of the epoch with the best validation accuracy.
    """
    shown = COLUMNS if stage else {}
    title = "Test accuracy in % of the last and of the selected epoch"
    if stage:
        title += f";\nPID of {stage} on the test set, in bits: redundant, unique to each, synergistic"
    rows = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    rows.add_column("run", overflow="fold", min_width=8)
    for heading in ("last", "selected", *shown.values(), "s"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for run, result in zip(runs, results, strict=True):
        accuracies = [_percent(result["test"].get(name)) for name in ("last", "best")]
        atoms = result["pid_test"].get(stage, {})
        bits = [f"{atoms[name]:.2f}" if name in atoms else "–" for name in shown]
        rows.add_row(escape(_label(run, runs)), *accuracies, *bits, f"{result['seconds']:.0f}")
    return rows


def _label(run: RunFolder, runs: Sequence[RunFolder]) -> str:
    """The run's path without the folders that all runs share."""
    shared = os.path.commonpath([other.path.parent for other in runs])
    return os.path.relpath(run.path, shared)


def _percent(tested: dict[str, float] | None) -> str:
    return f"{100 * tested['accuracy']:.2f}" if tested else "–"
