"""The key ``published`` of a grid: test accuracies that others report for the grid's runs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdlight.errors import UserError
from kdlight.files import replace_file
from kdlight.workbench.compare.record import PUBLISHED


def read_published(where: str, given: Any, axes: Mapping[str, Sequence[str]], above: str = "") -> dict[str, float]:
    """Read the key ``published``: nested mappings such as ``{kd: {"6": 70.66}}``, with one level per axis.

    The keys of the outer mapping are labels of the first axis, the keys one level below are labels of the second axis,
    and so on. The values of the innermost mappings are accuracies in %.

    Args:
        where: The grid's file, for messages.
        given: The value of the key ``published``, or a mapping inside it.
        axes: For each level of ``given``, the axis and its labels.
        above: The keys that lead to ``given``, for messages, such as ``.kd.all``.

    Returns:
        The accuracies. The keys are those of `Cell.group`, such as ``pair=vgg13-vgg8,method=kd``.

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
