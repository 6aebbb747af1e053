"""Report the measurements of `kdlight bench` as rates, ratios and shares, in a table and as JSON.

For comparison, a loop in plain torch trains the same student. This bare loop (`BARE`) runs the teacher if there is one.
A second bare loop uses random logits instead of running the teacher. `kdlight fit` and the bare loops take turns of a
few training steps, which are timed together. Ratios are relative to `BARE`.
"""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from statistics import median
from typing import Any, Literal, NamedTuple

import torch
import yaml
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kdlight.runs.result import PACKAGES, read_git_commit, read_peak_memory
from kdlight.workbench.bench.parts import PARTS, Parts
from kdlight.workbench.bench.timed_fit import FIT, Stopwatch, TimedFit

Clock = Literal["wall", "cpu"]
BARE = "bare loop"


class Timing(NamedTuple):
    """The measurements of a configuration.

    Attributes:
        name: The configuration's name in the table.
        stopwatch: The turns of the fit and of the bare loops, with their times.
        parts: The time of each part of a step.
        peak_memory: Peak memory on the GPU in bytes; None on a CPU.
    """

    name: str
    stopwatch: Stopwatch
    parts: Parts
    peak_memory: int | None

    def list_rates(self, clock: Clock, of: str = FIT) -> list[float]:
        """Return each turn's images per second of wall time or of CPU time. `of` names the fit or a bare loop."""
        return [turn.images / getattr(turn.times, clock) for turn in self.stopwatch.turns[of]]


def describe_circumstances(fit: TimedFit) -> dict[str, Any]:
    """Describe what was measured, on which machine and with which versions of the packages."""
    on_gpu = fit.device.type == "cuda"
    return {
        "method": type(fit.model).__name__,
        "batch_size": fit.data.batch_size,
        "device": torch.cuda.get_device_name(fit.device) if on_gpu else f"{fit.device.type} ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "packages": {package: version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "git_commit": read_git_commit(),
        "config": yaml.safe_load(fit.config),
    }


def compute_rates(measured: Sequence[Timing], *, clock: Clock) -> dict[str, Any]:
    """Compute rates, and their ratios to the rates of the loop `BARE`, as medians over the turns.

    For a ratio, the rate of each turn is divided by the rate of `BARE` in the same round. In a round, the fit and each
    loop have one turn.

    Args:
        measured: The measured configurations. Of the bare loops, only those of the first configuration get rows.
        clock: "wall" or "cpu": whether ratios and shares are those of wall time or of CPU time.

    Returns:
        A dict with ``clock``; ``peak_memory``, the peak memory of the whole process in bytes, on the GPU if there is
        one; and ``rows``. Each row has the rates ``images_per_second`` and ``images_per_cpu_second``, their values in
        each turn (``turns``), the ratio to `BARE` (``of_bare``), and this ratio divided by that of the first
        configuration (``of_first``). Rows of configurations also have ``start_seconds`` (including the time to build
        a teacher cache), ``warmup_seconds`` (including compilation), ``peak_memory`` (None on a CPU), and ``parts``:
        for each part of a step ``ms``, ``cpu_ms`` and ``share``.
    """
    first = measured[0]
    reference = _compare_bare(first, FIT, clock)
    rows = []
    for timed in measured:
        about = {
            "start_seconds": timed.stopwatch.start.wall,
            "warmup_seconds": timed.stopwatch.warmup.wall,
            "peak_memory": timed.peak_memory,
            "parts": _compute_shares(timed.parts, clock),
        }
        rows.append(_make_row(timed, FIT, timed.name, clock, reference) | about)
    loops = [loop for loop in first.stopwatch.turns if loop.startswith(BARE)]
    rows += [_make_row(first, loop, loop, clock, reference) for loop in loops]
    return {"clock": clock, "peak_memory": read_peak_memory(), "rows": rows}


def print_report(content: dict[str, Any], console: Console) -> None:
    """Print the rates, then the parts."""
    for table in build_tables(content):
        console.print(table)


def build_tables(content: dict[str, Any]) -> list[Table]:
    """Build a table of rates and ratios, and a table of the time that each part of a step takes."""
    on_gpu = content["clock"] == "wall"
    clocks = "images per second" if on_gpu else "images per CPU-second"
    memory = f"{content['peak_memory'] / 2**20:,.0f} MiB at most in use"
    rates = Table(
        title=f"{content['method']}, batches of {content['batch_size']}, {content['device']}, {content['threads']} "
        f"threads; medians of {content['turns']} turns of {content['steps']} steps.\n"
        f"Ratios are those of {clocks}; the bare loop's loss is {content['bare_loss']}; {memory}",
        **LOOK,
    )
    rates.add_column("", overflow="fold")
    for heading in ("img/s", "img/CPU-s", "of bare", "of first", "start s", "warm-up s", *(["MiB"] if on_gpu else [])):
        rates.add_column(heading, justify="right", no_wrap=True)
    for row in content["rows"]:
        cells = [f"{row[name]:,.0f}" for name in ("images_per_second", "images_per_cpu_second")]
        cells += [f"{row[name]:.3f}" for name in ("of_bare", "of_first")]
        if "parts" in row:
            cells += [f"{row[name]:.1f}" for name in ("start_seconds", "warmup_seconds")]
            cells += [f"{row['peak_memory'] / 2**20:,.0f}"] if on_gpu else []
        rates.add_row(escape(row["name"]), *cells)
    kind = "ms" if on_gpu else "cpu_ms"
    timed = [row for row in content["rows"] if "parts" in row]
    parts = Table(title=f"Time of a step's parts in {'ms' if on_gpu else 'CPU-ms'}, without overlap", **LOOK)
    parts.add_column("")
    for row in timed:
        parts.add_column(escape(row["name"]), justify="right", overflow="fold")
    for name in PARTS:
        parts.add_row(name, *(f"{row['parts'][name][kind]:,.2f}  {row['parts'][name]['share']:5.1%}" for row in timed))
    parts.add_row("sum", *(f"{sum(part[kind] for part in row['parts'].values()):,.2f}  {1:5.0%}" for row in timed))
    return [rates, parts]


LOOK: dict[str, Any] = {"title_justify": "left", "box": box.SIMPLE_HEAD, "pad_edge": False}


def _compare_bare(timed: Timing, of: str, clock: Clock) -> float:
    pairs = zip(timed.list_rates(clock, of), timed.list_rates(clock, BARE), strict=True)
    return median(rate / bare for rate, bare in pairs)


def _make_row(timed: Timing, of: str, name: str, clock: Clock, reference: float) -> dict[str, Any]:
    wall, cpu, of_bare = timed.list_rates("wall", of), timed.list_rates("cpu", of), _compare_bare(timed, of, clock)
    return {
        "name": name,
        "images_per_second": median(wall),
        "images_per_cpu_second": median(cpu),
        "of_bare": of_bare,
        "of_first": of_bare / reference,
        "turns": {"images_per_second": wall, "images_per_cpu_second": cpu},
    }


def _compute_shares(parts: Parts, clock: Clock) -> dict[str, dict[str, float]]:
    whole = sum(getattr(part, clock) for part in parts.values())
    return {
        name: {"ms": 1000 * part.wall, "cpu_ms": 1000 * part.cpu, "share": getattr(part, clock) / whole}
        for name, part in parts.items()
    }
