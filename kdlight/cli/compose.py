"""Several configuration files become one: files that point at files, and files given beside one another.

A value that names a YAML file stands for what that file holds, seen from the folder of the file that names it; a part
that is also a configuration of its own (``trainer: {…}`` in ``trainers/cifar.yaml``) is unwrapped where ``trainer:``
points at it. ``include: [a.yaml, b.yaml]`` puts whole files below the one that says so.

Mappings merge key by key and the later file wins. Where the files name different classes, the last class wins and what
other files wrote for another class is left out, instead of being handed to a class it was not written for; what a file
without ``class_path`` says (a teacher-student pair, say) holds for any class, so the order of two such files is free.

What belongs to two files together, such as DKD's beta for a pair, stands in ``pair+dkd.yaml`` beside ``pair.yaml``. It
is taken by itself, above both, wherever ``pair.yaml`` and a ``dkd.yaml`` of any folder are given or included.
"""

import os
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.utilities import rank_zero_info

from kdlight.errors import MissingFileError, UserError
from kdlight.files import with_home
from kdlight.yaml_files import read_yaml

Fragments = Sequence[Any]
SUFFIXES = (".yaml", ".yml")
MOST_FILES = 300


class Part(NamedTuple):
    """A file and what it says itself, its pointers resolved."""

    file: Path
    content: dict[str, Any]


class Trail(NamedTuple):
    """How a file was reached.

    Attributes:
        pointing: The files that point at one another up to it.
        read: All files that were read so far, each as often as it was read.
    """

    pointing: tuple[Path, ...]
    read: list[Path]


def compose(files: Sequence[str | Path]) -> dict[str, Any]:
    """Merge configuration files in their order, the files that they point at resolved.

    A combination that is taken by itself is named in a line on the terminal.

    Raises:
        MissingFileError: If a file does not exist; the message names who points at it.
        UserError: If a file is not a YAML mapping, or points at itself.
    """
    trail = Trail((), [])
    given = [part for file in files for part in _parts(Path(file), trail)]
    parts = _with_combinations(given)
    for file in dict.fromkeys(part.file for part in parts if part not in given):
        rank_zero_info(f"with {os.path.normpath(file)}")
    return _merged(parts)


def _with_combinations(given: Sequence[Part]) -> list[Part]:
    """The parts with their combinations, each behind the later of its two files.

    A combination for another class than the chosen is left out as a whole: its method was given, then replaced.
    """
    chosen = _class_of(given)
    parts = []
    for place, part in enumerate(given):
        parts.append(part)
        for other in given[:place]:
            for first, second in permutations((part.file, other.file)):
                file = first.with_name(f"{first.stem}+{second.stem}.yaml")
                combination = _parts(file, Trail((), [])) if file.is_file() else []
                if combination and _class_of(combination) in (None, chosen):
                    parts += combination
    return parts


def _class_of(parts: Sequence[Part]) -> str | None:
    """The class of the method that these files choose."""
    model = _merged(parts).get("model")
    return model.get("class_path") if isinstance(model, dict) else None


def _merged(parts: Sequence[Part]) -> dict[str, Any]:
    merged = merge([part.content for part in parts])
    assert isinstance(merged, dict)
    return merged


def merge(fragments: Fragments) -> Any:
    """Merge values in their order: the last wins, mappings merge key by key, see above for classes."""
    if not isinstance(fragments[-1], Mapping):
        return fragments[-1]
    mappings: list[Mapping[str, Any]] = []
    for fragment in fragments:
        if isinstance(fragment, Mapping):
            mappings.append(fragment)
        else:  # a plain value in between replaced what stood there
            mappings.clear()
    last_class = next((mapping["class_path"] for mapping in reversed(mappings) if "class_path" in mapping), None)
    mappings = [mapping for mapping in mappings if mapping.get("class_path", last_class) == last_class]
    keys = dict.fromkeys(key for mapping in mappings for key in mapping)
    return {key: merge([mapping[key] for mapping in mappings if key in mapping]) for key in keys}


def _parts(file: Path, trail: Trail) -> list[Part]:
    """The files that a file includes, then the file itself, each with its pointers resolved."""
    content = _read(file, trail)
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected a mapping such as 'trainer: …', got {type(content).__name__}")
    _require_names(content, file)
    included = content.pop("include", [])
    if not isinstance(included, list) or not all(isinstance(name, str) for name in included):
        raise UserError(f"{file}: expected 'include' to be a list of YAML files, got {included!r}")
    trail = trail._replace(pointing=(*trail.pointing, file.resolve()))
    below = [part for name in included for part in _parts(file.parent / with_home(name), trail)]
    return [*below, Part(file, {key: _resolve(value, key, file, trail) for key, value in content.items()})]


def _require_names(content: Any, file: Path) -> None:
    """Refuse keys that are no text beside others that are, or where only names can stand.

    Raises:
        UserError: With the first of them.
    """
    if isinstance(content, dict):
        wrong = [key for key in content if not isinstance(key, str)]
        by_number = len(wrong) == len(content) and all(type(key) is int for key in wrong)  # such as epochs
        if wrong and not by_number:
            raise UserError(f"{file}: expected names as keys, got {wrong[0]!r}; put it into quotes if it is a name")
    for value in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        _require_names(value, file)


def _resolve(value: Any, key: str, file: Path, trail: Trail) -> Any:
    if isinstance(value, str) and value.endswith(SUFFIXES):
        target = file.parent / with_home(value)
        content = _merged(_parts(target, trail))
        return content[key] if list(content) == [key] else content
    if isinstance(value, dict):
        return {inner: _resolve(item, inner, file, trail) for inner, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, key, file, trail) for item in value]
    return value


def _read(file: Path, trail: Trail) -> Any:
    """Read one file that others may point at.

    Raises:
        MissingFileError: If it does not exist; the message names who points at it.
        UserError: If it leads back to itself, or the files point at too many others.
    """
    try:
        circular = file.resolve() in trail.pointing
    except (OSError, RuntimeError, ValueError):  # reading it says what is wrong with its name
        circular = False
    if circular:
        raise UserError(
            f"{trail.pointing[-1]}: points at {file}, which leads back to itself; remove one of the pointers"
        )
    trail.read.append(file)
    if len(trail.read) > MOST_FILES:
        raise UserError(f"{trail.read[0]}: expected to point at no more than {MOST_FILES} files, each time counted")
    try:
        return read_yaml(file)
    except MissingFileError as error:
        if not trail.pointing:
            raise
        raise MissingFileError(
            f"{trail.pointing[-1]} points at {str(error).replace(' does', ', which does', 1)}"
        ) from None
