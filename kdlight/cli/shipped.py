"""Find configuration files by path, or by the name of a shipped configuration (one that comes with kdlight)."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import kdlight
from kdlight.cli.imports import suggest
from kdlight.errors import MissingFileError, UserError
from kdlight.files import expand_home

FOLDER = "configs"
DATA_SET = "digits"  # the data set if the user names only a method: it needs no download, and a run takes seconds
CONFIG_FLAGS = ("-c", "--config")


class ConfigChoice(NamedTuple):
    """The configuration files that were found for the names that a user gave.

    Attributes:
        files: Paths, in the order of the given names.
        names: One entry for each given name; the name of the run's folder is made from the entries. An entry is the
            given name if that is the path of a file, otherwise a path below ``configs/``, such as ``digits/rid.yaml``.
            There need not be such a file: if ``dkd.yaml`` is the only given name, the entry is ``digits/dkd.yaml``, and
            the run's configuration is composed of several files.
        said: Lines to print, one for each given name for which shipped files were taken.
    """

    files: list[str]
    names: list[str]
    said: list[str]


def find_shipped_folder() -> Path:
    """Return the folder of the shipped configurations: in the installed package, or beside it in a git clone."""
    package = Path(kdlight.__file__).parent
    installed = package / FOLDER
    return installed if installed.is_dir() else package.parent / FOLDER


def list_shipped() -> list[str]:
    """Return the names of all shipped configurations, such as ``digits/rid.yaml``."""
    root = find_shipped_folder()
    return sorted(file.relative_to(root).as_posix() for file in root.rglob("*.yaml"))


def split_configs(options: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split options into the files after ``--config`` and all other options."""
    files, others = [], []
    remaining = iter(options)
    for option in remaining:
        flag, equals, value = option.partition("=")
        if flag not in CONFIG_FLAGS:
            others.append(option)
        elif equals:
            files.append(value)
        else:
            file = next(remaining, None)
            if file is None:
                raise UserError(f"{option}: expected a YAML file after it, got nothing")
            files.append(file)
    return [expand_home(file) for file in files], others


def choose_configs(given: Sequence[str]) -> ConfigChoice:
    """Find the configuration files that the user named.

    If a name is the path of an existing file, that file is taken. Otherwise the name, such as ``digits/rid.yaml`` or
    ``configs/digits/rid.yaml``, is looked up in the shipped configurations. A name without a folder, such as
    ``dkd.yaml``, has two meanings: if it is the only name that the user gave, it means a run of DKD on the digits data;
    if it is one of several names, it means the file ``methods/dkd.yaml``.

    Raises:
        MissingFileError: If there is no such file.
    """
    files, names, said = [], [], []
    for name in given:
        if Path(name).exists():
            files.append(name)
            names.append(name)
            continue
        found, title = _find_shipped(name, alone=len(given) == 1)
        files += [str(find_shipped_folder() / part) for part in found]
        names.append(title)
        said.append(f"{name}: using {', '.join(found)} from kdlight's configurations")
    return ConfigChoice(files, names, said)


def _find_shipped(name: str, *, alone: bool) -> tuple[list[str], str]:
    """Return the shipped files that a name means, and the name to add to `ConfigChoice.names`."""
    shipped = list_shipped()
    title = name.removeprefix(f"{FOLDER}/")
    if title in shipped:
        return [title], title
    if "/" not in title:
        method, on_digits = f"methods/{title}", f"{DATA_SET}/{title}"
        if alone and on_digits in shipped:
            return [on_digits], on_digits
        if alone and method in shipped:
            parts = [f"data/{DATA_SET}.yaml", f"trainers/{DATA_SET}.yaml", f"{DATA_SET}/pair.yaml"]
            return [*parts, method], on_digits
        if method in shipped:
            return [method], method
    candidates = shipped if "/" in title else {other.rpartition("/")[2] for other in shipped}
    here = [file.name for file in Path().glob("*.yaml")]
    hint = suggest(title, here) or suggest(title, candidates) or "; `kdlight configs` lists them"
    raise MissingFileError(f"{name} does not exist, neither here nor among kdlight's configurations{hint}")
