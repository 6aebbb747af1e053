"""Compose one configuration from the given files and the files that these refer to.

A value can be the path of a YAML file, relative to the file that contains the value. It is then replaced by the content
of that YAML file. For example, ``trainer: trainers/cifar.yaml`` takes the trainer from ``trainers/cifar.yaml``; that
file may hold the trainer's arguments with or without the key ``trainer`` above them. The line
``include: [a.yaml, b.yaml]`` merges whole files into the file that contains the line. That file's own values override
the values of the included files. A path is relative to the file that contains the line; if there is no such file, a
shipped configuration of that name is taken, such as ``digits/kd.yaml``.

Mappings are merged key by key, and later files override earlier ones. If files name different classes for one object,
the last class wins, and arguments that come with another class are dropped. Some files give arguments without
``class_path``, for example the files that describe teacher-student pairs. Their arguments are kept for the class that
wins. A list replaces an earlier list; under a key that ends in ``+``, such as ``callbacks+``, it is appended instead.

Values for a combination of two files, such as DKD's beta for one teacher-student pair, are in ``pair+dkd.yaml`` beside
``pair.yaml``. If ``pair.yaml`` and a ``dkd.yaml`` of any folder are given or included, ``pair+dkd.yaml`` is added
automatically and overrides both.
"""

import os
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.utilities import rank_zero_info

from kdlight.arguments import UNKNOWN
from kdlight.cli.shipped import find_shipped_folder
from kdlight.errors import MissingFileError, UserError
from kdlight.files import expand_home
from kdlight.runs.folder import RunFolder
from kdlight.yaml_files import read_yaml

Fragments = Sequence[Any]
SUFFIXES = (".yaml", ".yml")
MOST_FILES = 300
APPEND = "+"


class ConfigPart(NamedTuple):
    """A configuration file and its own content, without the content of included files.

    In `content`, every path of another YAML file has been replaced by the content of that file.
    """

    file: Path
    content: dict[str, Any]


class Trail(NamedTuple):
    """The chain of references by which a file was reached.

    Attributes:
        pointing: The files that lead to the file: each one refers to the next.
        read: All files read so far; a file that was read twice is listed twice.
    """

    pointing: tuple[Path, ...]
    read: list[Path]


def compose(files: Sequence[str | Path]) -> dict[str, Any]:
    """Merge configuration files in their order, with their references resolved.

    For each combination (``pair+dkd.yaml``) that is added automatically, a line is printed.

    Raises:
        MissingFileError: If a file does not exist; the message names the file that refers to it.
        UserError: If a file is not a YAML mapping or refers to itself, or a value stands for an object made in Python.
    """
    trail = Trail((), [])
    given = [_name_own_folder(part) for file in files for part in _read_parts(Path(file), trail)]
    parts = _insert_combinations(given)
    for file in dict.fromkeys(part.file for part in parts if part not in given):
        rank_zero_info(f"adding {os.path.normpath(file)}, which has values for this combination of files")
    merged = _merge_parts(parts)
    _require_described(merged, "")
    return merged


def _require_described(content: Any, name: str) -> None:
    """Refuse the configuration of a run that was made in Python with an object that a configuration cannot describe."""
    if isinstance(content, str) and content.startswith(UNKNOWN):
        raise UserError(
            f"{name} is {content!r}, which was made in Python and cannot be built from a configuration; call "
            "kdlight.fit again in Python, or replace this value by a class_path with init_args"
        )
    items = content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        _require_described(value, f"{name}.{key}" if name else str(key))


def _name_own_folder(part: ConfigPart) -> ConfigPart:
    """Correct the folder that a run's ``config.yaml`` names, because the run may have been copied or moved.

    Returns:
        The part, with default_root_dir set to the folder that the file is in. Files other than the ``config.yaml`` of a
        run are returned unchanged.
    """
    run = RunFolder(Path(os.path.abspath(part.file)).parent)
    named = part.content.get("trainer")
    root = named.get("default_root_dir") if isinstance(named, dict) else None
    if part.file.name != run.config.name or not run.checkpoints.is_dir() or named is None or not isinstance(root, str):
        return part
    if Path(expand_home(root)).resolve() == run.path.resolve():
        return part
    return part._replace(content={**part.content, "trainer": {**named, "default_root_dir": str(run.path)}})


def _insert_combinations(given: Sequence[ConfigPart]) -> list[ConfigPart]:
    """Return the given parts and the parts of their combinations: ``a+b.yaml`` follows the later of a.yaml and b.yaml.

    A combination is left out if it is for another class of method than the one that the given files choose. This
    happens if a later file replaces the method.
    """
    chosen = _find_class(given)
    parts = []
    for place, part in enumerate(given):
        parts.append(part)
        for other in given[:place]:
            for first, second in permutations((part.file, other.file)):
                file = first.with_name(f"{first.stem}+{second.stem}.yaml")
                combination = _read_parts(file, Trail((), [])) if file.is_file() else []
                if combination and _find_class(combination) in (None, chosen):
                    parts += combination
    return parts


def _find_class(parts: Sequence[ConfigPart]) -> str | None:
    """Return the class path of the method that these files choose; None if they choose none."""
    model = _merge_parts(parts).get("model")
    return model.get("class_path") if isinstance(model, dict) else None


def _merge_parts(parts: Sequence[ConfigPart]) -> dict[str, Any]:
    merged = merge([part.content for part in parts])
    assert isinstance(merged, dict)
    return merged


def merge(fragments: Fragments) -> Any:
    """Merge mappings key by key; of other values, the last one wins. The top of this file says how classes merge."""
    if not isinstance(fragments[-1], Mapping):
        return fragments[-1]
    mappings: list[Mapping[str, Any]] = []
    for fragment in fragments:
        if isinstance(fragment, Mapping):
            mappings.append(fragment)
        else:  # a plain value replaces the mappings before it
            mappings.clear()
    last_class = next((mapping["class_path"] for mapping in reversed(mappings) if "class_path" in mapping), None)
    mappings = [mapping for mapping in mappings if mapping.get("class_path", last_class) == last_class]
    keys = dict.fromkeys(key for mapping in mappings for key in mapping)
    merged = {key: merge([mapping[key] for mapping in mappings if key in mapping]) for key in keys}
    for key in [key for key in keys if isinstance(key, str) and key.endswith(APPEND)]:
        name = key.removesuffix(APPEND)
        last = max((place for place, mapping in enumerate(mappings) if name in mapping), default=0)
        added = [item for mapping in mappings[last:] for item in _as_list(mapping.get(key))]
        if name in merged:
            merged[name] = [*_as_list(merged[name]), *added]
            del merged[key]
        else:
            merged[key] = added  # a file that includes this one may have the list
    return merged


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _read_parts(file: Path, trail: Trail) -> list[ConfigPart]:
    """Return the files that a file includes, then the file itself, each with its references resolved."""
    content = _read(file, trail)
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected a mapping such as 'trainer: …', got {type(content).__name__}")
    _require_names(content, file)
    included = content.pop("include", [])
    if not isinstance(included, list) or not all(isinstance(name, str) for name in included):
        raise UserError(f"{file}: expected 'include' to be a list of YAML files, got {included!r}")
    trail = trail._replace(pointing=(*trail.pointing, file.resolve()))
    below = [part for name in included for part in _read_parts(_locate(name, file), trail)]
    return [*below, ConfigPart(file, {key: _resolve(value, key, file, trail) for key, value in content.items()})]


def _locate(name: str, file: Path) -> Path:
    """Return the path of an included file: beside the file that includes it, or else a shipped file of that name."""
    beside, shipped = file.parent / expand_home(name), find_shipped_folder() / name
    return shipped if not beside.exists() and shipped.is_file() else beside


def _require_names(content: Any, file: Path) -> None:
    """Refuse keys that are not text, except in mappings whose keys are all whole numbers, such as epochs.

    Raises:
        UserError: If there is such a key; the message shows the first one.
    """
    if isinstance(content, dict):
        wrong = [key for key in content if not isinstance(key, str)]
        by_number = len(wrong) == len(content) and all(type(key) is int for key in wrong)  # such as epochs
        if wrong and not by_number:
            raise UserError(f"{file}: expected names as keys, got {wrong[0]!r}; put it into quotes if it is a name")
    for value in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        _require_names(value, file)


def _resolve(value: Any, key: str, file: Path, trail: Trail) -> Any:
    """Return a value in which every path of a YAML file is replaced by the content of that file."""
    if isinstance(value, str) and value.endswith(SUFFIXES):
        target = file.parent / expand_home(value)
        content = _merge_parts(_read_parts(target, trail))
        return content[key] if list(content) == [key] else content
    if isinstance(value, dict):
        return {inner: _resolve(item, inner, file, trail) for inner, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, key, file, trail) for item in value]
    return value


def _read(file: Path, trail: Trail) -> Any:
    """Read one file that others may refer to.

    Raises:
        MissingFileError: If the file does not exist; the message names the file that refers to it.
        UserError: If the file refers back to itself, if more than `MOST_FILES` files are read, or if the file is not
            valid YAML.
    """
    try:
        circular = file.resolve() in trail.pointing
    except (OSError, RuntimeError, ValueError):  # an invalid path; `read_yaml` below says what is wrong with it
        circular = False
    if circular:
        raise UserError(
            f"{trail.pointing[-1]}: refers to {file}, which leads back to itself; remove one of the references"
        )
    trail.read.append(file)
    if len(trail.read) > MOST_FILES:
        raise UserError(
            f"{trail.read[0]}: the configuration is put together from more than {MOST_FILES} files (a file counts each "
            "time it is referred to); remove references"
        )
    try:
        return read_yaml(file)
    except MissingFileError as error:
        if not trail.pointing:
            raise
        raise MissingFileError(
            f"{trail.pointing[-1]} refers to {str(error).replace(' does', ', which does', 1)}"
        ) from None
