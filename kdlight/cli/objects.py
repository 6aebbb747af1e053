"""Build an object, such as a network or a data module, from the part of a configuration that describes it."""

import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from lightning.pytorch import LightningDataModule

from kdlight.arguments import find_import_path
from kdlight.cli.parse_errors import shorten_message
from kdlight.errors import UserError

Built = TypeVar("Built")

PARSERS = ("jsonargparse", "contextlib")
LIBRARIES = ("torch", "lightning", "torchvision", "timm", "torchmetrics")


def build_object(kind: type[Built], described: Mapping[str, Any]) -> Built:
    """Build the object that a part of a resolved configuration describes.

    Args:
        kind: The class that the object has to be an instance of. This is checked before any class or function that the
            configuration names is called.
        described: A mapping with ``class_path`` and, if the class takes arguments, ``init_args`` and ``dict_kwargs``.

    Raises:
        UserError: If the class is missing or is no subclass of `kind`, or if its arguments are wrong.
    """
    try:
        return _build(kind, described)
    except ArgumentError as error:
        said = re.sub(r"^part[.:] ?", "", shorten_message(str(error), []))  # the user has never seen the name "part"
        raise UserError(f"{described.get('class_path')}: {said}") from None


def _build(kind: type[Built], described: Mapping[str, Any]) -> Built:
    """Build an object as `build_object` does, but raise `ArgumentError` if the description is wrong."""
    parser = ArgumentParser(exit_on_error=False)
    # As in a fit: classes of the user may have arguments without annotations.
    parser.add_subclass_arguments(kind, "part", fail_untyped=False)
    config = parser.parse_object({"part": dict(described)})
    with report_library_errors():
        built: Built = parser.instantiate(config).part
    return built


@contextmanager
def report_library_errors() -> Iterator[None]:
    """Turn an error that a constructor of a library, such as torch, raises into a `UserError` that names the class.

    Errors of other constructors, such as the user's own, pass through with their traceback. An unknown argument becomes
    a `UserError` with any constructor.

    Raises:
        UserError: If a library's constructor fails (the message quotes the first line of the original message), or if
            an argument is unknown.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # jsonargparse wraps the first error in an error of its own
            cause = cause.__cause__
        frames = [frame for frame, _ in traceback.walk_tb(cause.__traceback__)]
        modules = [frame.f_globals.get("__name__", "") for frame in frames]
        own = 1 + max((place for place, name in enumerate(modules) if _is_of(name, PARSERS)), default=len(modules))
        while own < len(modules) and modules[own] == "kdlight.arguments":  # a wrapper of the constructor
            own += 1
        if own == len(modules) and isinstance(cause, TypeError):  # an unknown argument
            raise UserError(f"{cause}; correct the arguments below init_args and dict_kwargs") from error
        ours = not all(_is_of(name, LIBRARIES) for name in modules[own:])
        if isinstance(cause, UserError) or own >= len(modules) or ours:
            raise
        frame = frames[own]
        what = find_import_path(type(frame.f_locals["self"])) if "self" in frame.f_locals else frame.f_code.co_qualname
        raise UserError(f"{what}: {str(cause).partition(chr(10))[0]}; give another value") from error


def _is_of(module: str, packages: Sequence[str]) -> bool:
    return module.partition(".")[0] in packages


@lru_cache(maxsize=8)
def find_data_facts(described: str) -> dict[str, Any] | None:
    """Return the number of classes and the image shape of the data. This builds the data module, but decodes no image.

    Args:
        described: The part of a configuration that describes the data, as YAML.

    Returns:
        The facts by name. None if the data are not images, or if the description is wrong. A wrong description is
        reported later, when the whole configuration is parsed.

    Raises:
        UserError: If the data module refuses its arguments, or the folder in which it counts the classes is missing.
    """
    try:
        data: Any = _build(LightningDataModule, yaml.safe_load(described))
    except ArgumentError:
        return None
    if not (hasattr(data, "num_classes") and hasattr(data, "image_shape")):
        return None
    return {"num_classes": data.num_classes, "image_shape": data.image_shape}
