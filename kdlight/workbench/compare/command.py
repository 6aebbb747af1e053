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
from kdlight.information.estimates import Estimate
from kdlight.measuring.report import StageReport
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
    if stage is not None and not any(stage in measured_stages(result) for result in results):
        measured = sorted({name for result in results for name in measured_stages(result)})
        raise UserError(f"no run measured the PID of '{stage}'; expected one of {', '.join(measured) or 'none'}")
    Console().print(table(runs, results, stage))
    if picture is not None:
        if stage is None:
            raise UserError("none of the runs measured a PID, so there is nothing to plot; add the callback PIDMonitor")
        from kdlight.workbench.compare.picture import save_pid_picture

        save_pid_picture(runs, stage, picture)
        print(f"saved {picture}")


def measured_stages(result: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The PID on the test set by stage."""
    stages: dict[str, dict[str, float]] = result.get("pid_test", {})
    return stages


def deepest_stage(results: Sequence[dict[str, Any]]) -> str | None:
    """The last stage that a run measured, which the RID paper reports; None where none measured any."""
    stages = [name for result in results for name in measured_stages(result) if name.startswith("stage")]
    return max(stages, key=lambda name: int(name.removeprefix("stage")), default=None)


COLUMNS = {
    "redundant": "red",
    "unique_first": "uni T",
    "unique_second": "uni S",
    "synergistic": "syn",
    "information_first": "I(Y;T)",
    "information_second": "I(Y;S)",
}


def table(runs: Sequence[RunFolder], results: Sequence[dict[str, Any]], stage: str | None) -> Table:
    """One row a run: test accuracy in percent, the PID of the last weights on the test set in bits, seconds.

    "last" is the accuracy of the last epoch, "selected" that of the epoch with the best validation accuracy.
    """
    shown = COLUMNS if stage else {}
    measured = [
        StageReport.from_dict(of_stages[stage]).pid if stage in (of_stages := measured_stages(result)) else None
        for result in results
    ]
    title = "Test accuracy in % of the last and of the selected epoch"
    if stage:
        title += f";\nPID of {stage} on the test set, in bits, corrected for bias: redundant, unique, synergistic,"
        title += "\n± half of the interval that a repetition keeps (n. e.: not estimable)"
        entropies = sorted({f"{pid.target_entropy:.2f}" for pid in measured if pid is not None})
        caps = sorted({f"{min(pid.cap_first, pid.cap_second):.2f}" for pid in measured if pid is not None})
        title += f"; H(Y) = {', '.join(entropies)}, capped by the symbols at {', '.join(caps)}"
    rows = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    rows.add_column("run", overflow="fold", min_width=8)
    for heading in ("last", "selected", *shown.values(), "s"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for run, result, pid in zip(runs, results, measured, strict=True):
        accuracies = [_percent(result["test"].get(name)) for name in ("last", "best")]
        bits = ["–" if pid is None else _bits(getattr(pid, name)) for name in shown]
        rows.add_row(escape(_label(run, runs)), *accuracies, *bits, f"{result['seconds']:.0f}")
    return rows


def _bits(estimate: Estimate) -> str:
    if not estimate.estimable:
        return "n. e."
    return f"{estimate.value:.2f}±{estimate.upper - estimate.value:.2f}"


def _label(run: RunFolder, runs: Sequence[RunFolder]) -> str:
    """The run's path without the folders that all runs share."""
    shared = os.path.commonpath([other.path.parent for other in runs])
    return os.path.relpath(run.path, shared)


def _percent(tested: dict[str, float] | None) -> str:
    return f"{100 * tested['accuracy']:.2f}" if tested else "–"
