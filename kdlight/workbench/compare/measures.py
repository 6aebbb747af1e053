"""The columns of a table of runs: each measure by name, and how to read it from a run's result.

PID is the partial information decomposition of what teacher and student tell about the label; its four parts are the
atoms.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kdlight.atoms import ATOMS

Reader = Callable[[Mapping[str, Any], str | None], float]


class Measure(NamedTuple):
    """A column of the table.

    Attributes:
        heading: The column's heading.
        digits: Digits after the decimal point.
        read: A function that returns the value, given a result and the stage of the PID; NaN if the result
            lacks the value.
        interval: Two functions with the arguments of `read`. They return the lower and the upper end of the interval
            that contains 95 % of repeated measurements; None: the measure has no interval.
    """

    heading: str
    digits: int
    read: Reader
    interval: tuple[Reader, Reader] | None = None


def _make_atom(heading: str, name: str) -> Measure:
    lower, upper = (_make_reader("pid_test", "<stage>", f"{name}_{end}") for end in ("lower", "upper"))
    return Measure(heading, 3, _make_reader("pid_test", "<stage>", name), (lower, upper))


def _make_reader(*path: str, factor: float = 1.0) -> Reader:
    def read(result: Mapping[str, Any], stage: str | None) -> float:
        found: Any = result
        for key in path:
            key = stage or "" if key == "<stage>" else key
            found = found.get(key) if isinstance(found, Mapping) else None
        return factor * found if isinstance(found, int | float) else math.nan

    return read


MEASURES: dict[str, Measure] = {
    "last": Measure("last %", 2, _make_reader("test", "last", "accuracy", factor=100)),
    "selected": Measure("selected %", 2, _make_reader("test", "best", "accuracy", factor=100)),
    "validation": Measure("validation %", 2, _make_reader("final", "val/accuracy", factor=100)),
    "published": Measure("published %", 2, _make_reader("published", factor=100)),
    "teacher": Measure("teacher %", 2, _make_reader("teacher_test", "accuracy", factor=100)),
    "agreement": Measure("agreement %", 2, _make_reader("test", "last", "agreement", factor=100)),
    **{atom: _make_atom(text, atom) for atom, text in zip(ATOMS, ("red", "uni T", "uni S", "syn"), strict=True)},
    "information_teacher": _make_atom("I(Y;T)", "information_teacher"),
    "information_student": _make_atom("I(Y;S)", "information_student"),
    "label_entropy": Measure("H(Y)", 3, _make_reader("pid_test", "<stage>", "label_entropy")),
    "parameters": Measure("parameters", 0, _make_reader("student_parameters")),
    "flops": Measure("FLOPs", 0, _make_reader("networks", "student", "flops")),
    "images_per_second": Measure("images/s", 0, _make_reader("images_per_second")),
    "train_seconds": Measure("train s", 0, _make_reader("train_seconds")),
}
DEFAULT: tuple[str, ...] = ("last", "selected", "published", "teacher", "agreement", *ATOMS)
DEFAULT += ("information_teacher", "information_student", "train_seconds")
