"""From a part of a configuration to the object that it describes, such as a network or a data module."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from lightning.pytorch import LightningDataModule

from kdlight.cli.parse_errors import readable
from kdlight.errors import UserError

Built = TypeVar("Built")


def build_object(kind: type[Built], described: Mapping[str, Any]) -> Built:
    """Build the object that a part of a resolved configuration describes.

    Args:
        kind: The class that it has to be of. Nothing that a file names is called before that is known.
        described: With ``class_path``, and ``init_args`` and ``dict_kwargs`` as it takes them.

    Raises:
        UserError: If the class is missing or another, or its arguments are wrong.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--part", type=kind)
    try:
        config = parser.parse_object({"part": dict(described)})
    except ArgumentError as error:
        raise UserError(f"{described.get('class_path')}: {readable(str(error), [])}") from None
    built: Built = parser.instantiate(config).part
    return built


@lru_cache(maxsize=8)
def data_facts(described: str) -> dict[str, Any] | None:
    """Return the classes and the image shape of data, which building the data module tells without reading a file.

    Args:
        described: The data's part of a configuration, as YAML.

    Returns:
        None if they are no images, or the description is wrong: building the experiment says how.
    """
    try:
        data: Any = build_object(LightningDataModule, yaml.safe_load(described))
    except UserError:
        return None
    if not (hasattr(data, "num_classes") and hasattr(data, "image_shape")):
        return None
    return {"num_classes": data.num_classes, "image_shape": data.image_shape}
