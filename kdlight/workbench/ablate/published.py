"""The key ``published`` of a grid: test accuracies that others report for the grid's runs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdlight.errors import UserError
from kdlight.files import replace_file
from kdlight.workbench.compare.record import PUBLISHED


def read_published(where: str, given: Any, axes: Mapping[str, Sequence[str]], above: str = "") -> dict[str, float]:
    """Read the key ``published``: a mapping from the labels of the first axis.

    Its values are mappings from the labels of the second axis, and so on. The values of the innermost mappings are
    accuracies in %.

    Args:
        where: The name of the grid, for messages.
        given: The value of the key.
        axes: The labels of each axis.
        above: The labels under which ``given`` is found, each after a dot, for messages.

    Returns:
        The accuracies by `Cell.group`, such as ``method=kd,labels=6``.

    Raises:
        UserError: If a label does not exist, or a value is no accuracy in %.
    """
    (axis, labels), *_ = axes.items() or [("", [])]
    if not isinstance(given, Mapping):
        raise UserError(f"{where}: published{above}: expected a mapping from the labels of {axis}, got {given!r}")
    rest = {name: others for name, others in axes.items() if name != axis}
    found: dict[str, float] = {}
    for label, below in given.items():
        place = f"{above}.{label}"
        if str(label) not in labels:
            right = ", ".join(labels)
            raise UserError(f"{where}: published{above}: expected labels of {axis} ({right}), got {label!r}")
        if rest:
            inner = read_published(where, below, rest, place)
            found |= {f"{axis}={label},{group}": value for group, value in inner.items()}
        elif isinstance(below, int | float) and not isinstance(below, bool) and 0 <= below <= 100:
            found[f"{axis}={label}"] = float(below)
        else:
            raise UserError(f"{where}: published{place}: expected an accuracy from 0 to 100 in %, got {below!r}")
    return found


def keep_published(published: Mapping[str, float], root: Path) -> None:
    """Write the published values beside the grid's runs, where `kdlight compare` reads them."""
    if published:
        root.mkdir(parents=True, exist_ok=True)
        with replace_file(root / PUBLISHED) as draft:
            draft.write_text(json.dumps(published, indent=2), encoding="utf-8")
