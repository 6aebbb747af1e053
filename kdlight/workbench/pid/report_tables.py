"""The tables that ``kdlight pid`` prints.

They show the partial information decomposition of what two sources tell about a target. Either the sources and the
target are three arrays, or the sources are stages of a teacher (T) and a student (S), and the target is the label (Y).
"""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kdlight.information.estimated_pid import Estimate
from kdlight.measuring.other_redundancies import LABELS
from kdlight.workbench.pid.arrays import ArrayReport
from kdlight.workbench.pid.networks import Matrix, Ranking
from kdlight.workbench.pid_captions import INTERVAL, describe_symbols

__all__ = ["describe_circumstances", "format_half_width", "format_value", "print_report"]

ATOMS = {
    "redundant": "redundant",
    "unique_first": "unique to the first",
    "unique_second": "unique to the second",
    "synergistic": "synergistic",
    "information_first": "I(target; first)",
    "information_second": "I(target; second)",
    "information_both": "I(target; first, second)",
    "information_between": "I(first; second)",
}
NOT_ESTIMABLE = "not estimable"


def print_report(report: Matrix | Ranking | ArrayReport) -> None:
    """Print the table of a report."""
    tables = {Matrix: _tabulate_matrix, Ranking: _tabulate_ranking, ArrayReport: _tabulate_atoms}
    Console().print(tables[type(report)](report))  # type: ignore[operator]


def describe_circumstances(report: Mapping[str, Any]) -> str:
    """Describe data set, split, number of images, and how features were turned into symbols, for a caption."""
    images = f"{report['data']}, {report['samples']:,} {report['split']} images"
    return f"{images}; {describe_symbols(report['symbols'], report.get('clusters'), report['repeats'])}"


def format_value(estimate: Estimate, digits: int = 2) -> str:
    """Return the value as text, or "not estimable" if the samples are too few."""
    return f"{estimate.value:.{digits}f}" if estimate.estimable else NOT_ESTIMABLE


def format_half_width(estimate: Estimate) -> str:
    """Return the value ± the half-width of its interval as text, or "not estimable" if the samples are too few."""
    if not estimate.estimable:
        return NOT_ESTIMABLE
    # In a narrow column, the line breaks at the space.
    return f"{estimate.value:.2f} ±{estimate.upper - estimate.value:.2f}"


def _make_table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)


def _tabulate_atoms(report: ArrayReport) -> Table:
    pid = report.pid
    rows = _make_table(
        f"Information about the target in bits, estimated from {pid.samples:,} samples.\n"
        "value: corrected for bias\n"
        f"interval: {INTERVAL}\n"
        "counted: computed from the observed frequencies, without a correction\n"
        f"Information about the target is at most H(target) = {pid.target_entropy:.4f} bits. The symbols\n"
        f"can carry at most {pid.cap_first:.2f} (first source) and {pid.cap_second:.2f} bits (second source)."
    )
    rows.add_column("quantity")
    for heading in ("value", "interval", "counted"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for name, label in ATOMS.items():
        estimate: Estimate = getattr(pid, name)
        interval = f"{estimate.lower:.4f} to {estimate.upper:.4f}" if estimate.estimable else ""
        rows.add_row(label, format_value(estimate, 4), interval, f"{estimate.counted:.4f}")
    rows.add_section()
    for name, value in report.others.items():
        rows.add_row(LABELS[name], "", "", f"{value:.4f}")
    rows.add_row("certified numerical error", "", "", f"{pid.gap:.1e}")
    return rows


def _describe_limits(report: Matrix) -> str:
    bounds = report.bounds
    said = f"The label's entropy H(Y) is {bounds['label_entropy']:.2f} bits."
    if "redundant_at_least" in bounds:
        said += (
            "\nThe tables are about symbols. For the features themselves, the logits' cross-entropies imply:\n"
            f"I(Y;T) ≥ {bounds['information_teacher_at_least']:.2f}, I(Y;S) ≥ "
            f"{bounds['information_student_at_least']:.2f}, redundant ≥ {bounds['redundant_at_least']:.2f}."
        )
    return said


def _tabulate_matrix(report: Matrix) -> Table:
    rows = _make_table(
        "Redundant information in bits: what a stage of the teacher (row) and a stage\n"
        "of the student (column) both tell about the label, corrected for bias.\n"
        f"±: half of {INTERVAL}\n"
        "cap: the most bits that the symbols of a stage can carry\n"
        f"{describe_circumstances(report.circumstances)}.\n{_describe_limits(report)}"
    )
    students = list(next(iter(report.cells.values())))
    rows.add_column("teacher", no_wrap=True)
    for student in students:
        rows.add_column(student, justify="right")
    rows.add_column("I(Y;T)", justify="right")
    rows.add_column("cap", justify="right", no_wrap=True)
    for teacher, cells in report.cells.items():
        first = next(iter(cells.values())).pid
        values = [format_half_width(cell.pid.redundant) for cell in cells.values()]
        rows.add_row(teacher, *values, format_value(first.information_first), f"{first.cap_first:.2f}")
    rows.add_section()
    last = list(report.cells.values())[-1]
    rows.add_row("I(Y;S)", *(format_value(cell.pid.information_second) for cell in last.values()), "", "")
    rows.add_row("cap", *(f"{cell.pid.cap_second:.2f}" for cell in last.values()), "", "")
    return rows


def _tabulate_ranking(report: Ranking) -> Table:
    first = next(iter(report.teachers.values())).pid
    rows = _make_table(
        f"Information about the label, in bits, in the {report.place} of each teacher and of\n"
        "the student, corrected for bias. The teacher that could give the most comes first.\n"
        f"±: half of {INTERVAL}\n"
        f"{describe_circumstances(report.circumstances)}.\n"
        f"The label's entropy H(Y) is {first.target_entropy:.2f} bits; the symbols carry at most {first.cap_first:.2f}."
    )
    rows.add_column("teacher", overflow="fold")
    for heading in ("could give (uni T)", "both have (red)", "only student has (uni S)", "I(Y;T)"):
        rows.add_column(heading, justify="right")
    for name, found in report.teachers.items():
        pid = found.pid
        values = (pid.unique_first, pid.redundant, pid.unique_second, pid.information_first)
        rows.add_row(escape(name), *map(format_half_width, values))
    return rows
