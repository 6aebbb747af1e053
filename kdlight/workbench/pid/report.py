"""The tables of ``kdlight pid``."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

ATOMS = {
    "redundant": "redundant",
    "unique_first": "unique to the first",
    "unique_second": "unique to the second",
    "synergistic": "synergistic",
}


def print_report(report: dict[str, Any]) -> None:
    """Print what `compare_arrays` or `compare_networks` measured."""
    console = Console()
    console.print(_matrix(report) if "matrix" in report else _atoms(report))


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)


def _atoms(report: dict[str, Any]) -> Table:
    atoms = report["atoms"]
    rows = _table(
        f"Information about the target, in bits, from {report['samples']:,} samples: counted, corrected\n"
        "for bias with its 95 % interval, counted as part of I(target; first) and of H(target)"
    )
    rows.add_column("atom")
    for heading in ("counted", "corrected", "interval", "of I", "of H"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for name, label in ATOMS.items():
        of_first = atoms.get(f"{name}_fraction_of_first")
        rows.add_row(
            label + (", mostly bias?" if name == "synergistic" and atoms["synergy_mostly_bias"] else ""),
            f"{atoms[name]:.4f}",
            f"{atoms[f'{name}_corrected']:.4f}",
            f"{atoms[f'{name}_lower']:.4f} to {atoms[f'{name}_upper']:.4f}",
            "" if of_first is None else f"{of_first:.0%}",
            f"{atoms[f'{name}_fraction_of_target']:.0%}",
        )
    rows.add_section()
    others = {
        "I(target; first)": "information_first",
        "I(target; second)": "information_second",
        "redundant by I_min": "redundant_i_min",
        "redundant by MMI": "redundant_i_mmi",
    }
    for label, name in others.items():
        rows.add_row(label, f"{atoms[name]:.4f}")
    rows.add_row("certified numerical error", f"{atoms['gap']:.1e}")
    return rows


def _matrix(report: dict[str, Any]) -> Table:
    rows = _table(
        "What each stage of teacher (rows) and student (columns) redundantly tell of the label,\n"
        f"in bits, corrected for bias, ± half of its 95 % interval; {report['samples']:,} {report['split']} images, "
        f"H = {report['label_entropy']:.2f}"
    )
    matrix = report["matrix"]
    students = list(next(iter(matrix.values())))
    rows.add_column("teacher", no_wrap=True)
    for student in students:
        rows.add_column(student, justify="right", no_wrap=True)
    rows.add_column("I(Y;T)", justify="right", no_wrap=True)
    for teacher, cells in matrix.items():
        values = [
            f"{atoms['redundant_corrected']:.2f}±{atoms['redundant_upper'] - atoms['redundant_corrected']:.2f}"
            for atoms in cells.values()
        ]
        rows.add_row(teacher, *values, f"{next(iter(cells.values()))['information_teacher']:.2f}")
    rows.add_section()
    last = next(iter(matrix.values()))
    rows.add_row("I(Y;S)", *(f"{atoms['information_student']:.2f}" for atoms in last.values()), "")
    return rows
