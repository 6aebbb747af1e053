"""Handle missing teacher weights: name the command that trains the teacher, or train the teacher before the run."""

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_info

from kdlight.cli.imports import import_object
from kdlight.cli.parser import list_teacher_holders
from kdlight.cli.shipped import DATA_SET, list_shipped
from kdlight.errors import MissingFileError
from kdlight.models.published import fetch_published, is_published
from kdlight.runs.folder import find_config

Train = Callable[[str, Sequence[str]], None]

# These options of the run are passed on to the training of a missing teacher, so that this training finds the images.
PLACE_OF_IMAGES = ("data_dir", "download")


def require_teachers(config: Namespace, train: Train | None, *, asked: bool) -> bool:
    """Make sure that the weights of every teacher in a configuration exist, including those of an ensemble's members.

    Args:
        config: The configuration.
        train: A function that trains a shipped configuration, given its name and further options. None: train nothing;
            commands that measure a finished student pass None.
        asked: Whether the user asked for the training of missing teachers (``--train_teacher``). If not, only teachers
            on the digits data are trained, which takes seconds.

    Returns:
        Whether a teacher was trained.

    Raises:
        MissingFileError: If weights are missing and are not trained; the message names the command that trains them.
        DownloadError: If published weights are not on the disk and cannot be downloaded.
    """
    holders = list_teacher_holders(config)
    paths = [path for holder in holders if (path := holder.get("teacher_weights")) is not None]
    paths += [path for holder in holders for path in _list_members(holder.teacher)]
    missing = [path for path in dict.fromkeys(paths) if not is_published(path) and not Path(path).is_file()]
    for path in dict.fromkeys(paths):
        if is_published(path):
            fetch_published(path)
    for path in missing:
        _train_missing(path, train, _find_place_of_images(config), asked=asked)
    return bool(missing)


def require_file(path: str, remedy: str) -> None:
    """Raise an error with a remedy if a checkpoint does not exist."""
    if not Path(path).is_file():
        named = path or "'', an empty path"
        raise MissingFileError(f"no checkpoint at {named}; {remedy}")


def _train_missing(path: str, train: Train | None, options: Sequence[str], *, asked: bool) -> None:
    """Train the teacher whose checkpoint is missing, or raise `MissingFileError` with the command that trains it."""
    name = find_config(path)
    if name is None or name not in list_shipped():
        require_file(path, "name an existing file with the teacher's weights")
        return
    command = " ".join([f"kdlight fit --config configs/{name}", *options])
    # Train only in a single process, because several would train the same teacher. Train only if no run of that name
    # exists: the user should continue or remove a run that was stopped.
    alone = os.environ.get("WORLD_SIZE", "1") == os.environ.get("SLURM_NTASKS", "1") == "1"
    possible = train is not None and alone and not Path(path).parent.parent.exists()
    quick = name.startswith(f"{DATA_SET}/")
    if train is None or not possible or not (quick or asked):
        hint = ", or add --train_teacher" if possible else ""
        raise MissingFileError(f"no checkpoint at {path}; make it: {command}{hint}")
    rank_zero_info(f"no teacher at {path} yet: training it first ({command})")
    train(name, options)
    require_file(path, f"training {name} did not write this file; set weights to last.ckpt or best.ckpt of that run")


def _find_place_of_images(config: Namespace) -> list[str]:
    """Return the options that say where the images of a run lie; options with their default values are left out."""
    given = config.data.get("init_args") or Namespace()
    known = inspect.signature(import_object(config.data.class_path)).parameters
    values = {name: given[name] for name in PLACE_OF_IMAGES if name in given}
    return [
        f"--data.{name}={value}"
        for name, value in values.items()
        if value and (name not in known or known[name].default != value)
    ]


def _list_members(teacher: Namespace) -> list[str]:
    """Return the paths of the weights of an ensemble's members; [] if there are none."""
    weights = (teacher.get("init_args") or Namespace()).get("weights")
    return weights if isinstance(weights, list) else []
