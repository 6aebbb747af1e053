"""Networks and data of finished runs, built from the configuration that lies in their folders."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import MissingFileError, UserError
from kdlight.models.classifier import Classifier
from kdlight.models.frozen import Frozen
from kdlight.models.weights import load_weights
from kdlight.runs.folder import RunFolder


class FinishedRun(NamedTuple):
    """A run's folder and one of its checkpoints."""

    folder: RunFolder
    checkpoint: Path

    @classmethod
    def at(cls, path: Path) -> "FinishedRun":
        """A run by its folder, with the selected checkpoint (the last where none was selected), or by a checkpoint.

        Raises:
            MissingFileError: If there is no configuration or no checkpoint.
        """
        if not path.exists():
            raise MissingFileError(f"{path} does not exist; expected a run's folder, or a checkpoint in it")
        folder = RunFolder(path if path.is_dir() else path.parent.parent)
        if not folder.config.is_file():
            raise MissingFileError(
                f"{path}: expected a run's folder, or a checkpoint in it; {folder.config} is missing"
            )
        kept = [file for name in ("best", "last") if (file := folder.checkpoint(name)).is_file()]
        if path.is_dir() and not kept:
            raise MissingFileError(f"{path} has no checkpoint; go on with kdlight fit --ckpt_path last")
        return cls(folder, kept[0] if path.is_dir() else path)

    @staticmethod
    def has_run(checkpoint: Path) -> bool:
        """Whether a file lies where a run keeps its checkpoints."""
        return RunFolder(checkpoint.parent.parent).config.is_file()

    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        content: dict[str, Any] = yaml.safe_load(self.folder.config.read_text(encoding="utf-8"))
        return content

    def student(self) -> Frozen:
        """The network that the run trained."""
        return _loaded(self.config()["model"]["init_args"]["student"], self.checkpoint)

    def teacher(self, weights: Path | None = None) -> Frozen:
        """The teacher of the run: of its method, or the one that its PID was measured against.

        Args:
            weights: A file of other weights for that network; None: those that the run used.

        Raises:
            UserError: If the run has no teacher.
        """
        config = self.config()
        callbacks = config["trainer"].get("callbacks") or []
        holders = [part.get("init_args") or {} for part in (config["model"], *callbacks)]
        holder = next((holder for holder in holders if holder.get("teacher")), None)
        if holder is None:
            raise UserError(f"{self.folder.path} was trained without a teacher; name one with --teacher RUN")
        if weights is None and holder.get("untrained_teacher"):
            weights = self.folder.teacher
        elif weights is None and holder.get("teacher_weights"):
            weights = Path(holder["teacher_weights"])
        return _loaded(holder["teacher"], weights)

    def data(self, changed: Mapping[str, Any]) -> ImageDataModule:
        """The data of the run.

        Args:
            changed: Arguments that are others now, such as ``data_dir``.

        Raises:
            UserError: If they are no images, or take no such argument.
        """
        config = self.config()["data"]
        arguments = {**(config.get("init_args") or {}), **changed}
        try:
            data = built({**config, "init_args": arguments})
        except TypeError as error:
            raise UserError(f"--data: {error}") from None
        if not isinstance(data, ImageDataModule):
            raise UserError(f"{self.folder.config}: expected data of images, got {config['class_path']}")
        return data


def built(value: Any) -> Any:
    """What a part of a resolved configuration stands for.

    A ``class_path`` is called with its ``init_args`` and ``dict_kwargs``, as the command line does it.
    """
    if isinstance(value, list):
        return [built(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class_path" not in value:
        return {key: built(item) for key, item in value.items()}
    module, _, name = value["class_path"].rpartition(".")
    arguments = {**(value.get("init_args") or {}), **(value.get("dict_kwargs") or {})}
    return getattr(importlib.import_module(module), name)(**built(arguments))


def _loaded(config: dict[str, Any], weights: Path | None) -> Frozen:
    if weights is not None and (config.get("init_args") or {}).get("pretrained"):  # nothing is fetched to be replaced
        config = {**config, "init_args": {**config["init_args"], "pretrained": False}}
    model = built(config)
    if not isinstance(model, Classifier):
        raise UserError(f"expected a network with the face of a Classifier, got {config['class_path']}")
    if weights is not None:
        load_weights(model, weights)
    return Frozen(model.to("cuda" if torch.cuda.is_available() else "cpu"))
