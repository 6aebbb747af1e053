"""Make the text of ``kdlight fit --help``: the most common options, and the classes to choose from.

This file does not import torch, so that the help appears at once.
"""

from pathlib import Path

import kdlight
from kdlight.lazy import find_public_names

ALL = "--help_all"

PAGE = """usage: kdlight {command} --config FILE [--config FILE …] [OPTIONS]

  --config FILE               a file, or a name that `kdlight configs` lists, such as digits/rid.yaml (short: rid.yaml)
  --trainer.KEY VALUE         an argument of Lightning's Trainer: max_epochs, accelerator, devices, precision, …
  --trainer.default_root_dir DIR
                              the run's folder; default: runs/ and the configuration's name
  --model CLASS               a method: {methods}
  --model.KEY VALUE           an argument of the method; `kdlight methods METHOD` lists them with their defaults
  --model.student CLASS       the student, such as kdlight.models.resnet8; --model.teacher: the teacher
  --data CLASS                data: {data}
  --data.KEY VALUE            an argument of the data: batch_size, val_size, train_per_class, data_dir, …
  --seed_everything N         seed of weights, shuffling and augmentation
  --ckpt_path PATH            the checkpoint to continue or to test: a path, last, best, or auto (last, if it exists)
  --train_teacher             train a missing teacher first, on the images of this run
  --print_config              print the resolved configuration and do nothing else
  {all}                  list every option, including those of the Trainer
  --debug                     show the traceback of an error"""


def format_short_help(command: str) -> str:
    """Return the help of ``kdlight fit|validate|test`` on one screen."""
    listed = {package: _wrap(list_classes(package), f"kdlight.{package}.") for package in ("methods", "data")}
    return PAGE.format(command=command, all=ALL, **listed)


def list_classes(package: str) -> list[str]:
    """Return the names of the public classes of a package, without the classes in its subfolders."""
    names = find_public_names(f"kdlight.{package}", Path(kdlight.__file__).parent / package)
    return sorted(name for name, module in names.items() if "." not in module and name[0].isupper())


def _wrap(names: list[str], package: str) -> str:
    """Wrap the names of a package's classes to lines of about 100 characters."""
    lines, indent = [f"{package}NAME, one of:"], " " * 32
    for name in names:
        if len(lines) == 1 or len(lines[-1]) + len(name) > 98:
            lines.append(indent + name)
        else:
            lines[-1] += f" {name}"
    return "\n".join(lines)
