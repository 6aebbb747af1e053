"""The argument parser: Lightning's, and what flows between the parts of a configuration."""

import inspect
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from kdlight.cli.imports import imported
from kdlight.cli.objects import data_facts
from kdlight.files import with_home
from kdlight.models.weights import num_classes_of, read_state_dict


class Parser(LightningArgumentParser):
    """Fills ``num_classes`` and ``image_shape`` of the networks before a configuration is validated.

    The student's and image shapes come from the data, a teacher's classes from its weights. jsonargparse's own links do
    not reach networks that a function makes, nor nested ones.
    """

    def validate(self, cfg: Namespace, *args: Any, **kwargs: Any) -> None:
        """Write the home folder for ``~``, fill, then validate."""
        with_home(cfg)
        whole = cfg.get(cfg.get("subcommand") or "") or cfg
        if isinstance(whole.get("data"), Namespace) and isinstance(whole.get("model"), Namespace):
            flow(whole)
        elif "num_classes" in cfg and cfg.num_classes is None:
            kwargs["skip_required"] = True  # a network on its own: it is filled when the whole is validated
        super().validate(cfg, *args, **kwargs)


def flow(config: Namespace) -> None:
    """Write what the data and the teacher's weights decide into the networks of a configuration."""
    method = config.model.get("init_args")
    known = data_facts(yaml.safe_dump(config.data.as_dict()))
    if method is None or known is None:
        return
    if isinstance(method.get("student"), Namespace):
        _fill(method.student, known)
    for holder in teacher_holders(config):
        _fill(holder.teacher, {**known, **_of_weights(holder.get("teacher_weights"))})


def teacher_holders(config: Namespace) -> list[Namespace]:
    """The arguments of the method and of callbacks that have a teacher."""
    callbacks = config.get("trainer.callbacks") or []
    holders = [config.model, *(callbacks if isinstance(callbacks, list) else [callbacks])]
    arguments = [holder.get("init_args") for holder in holders if isinstance(holder, Namespace)]
    return [given for given in arguments if given is not None and isinstance(given.get("teacher"), Namespace)]


def _of_weights(path: str | None) -> dict[str, Any]:
    """The classes of the teacher that a file holds; nothing if it does not exist, which loading it will say."""
    return {"num_classes": num_classes_of(read_state_dict(path))} if path and Path(path).is_file() else {}


def _fill(network: Namespace, known: dict[str, Any]) -> None:
    """Fill what a network, or a network inside it, accepts and nobody wrote: absent, or still its default."""
    made = imported(network.get("class_path", ""))
    if made is None:
        return
    given: Namespace = network.get("init_args") or Namespace()
    parameters = inspect.signature(made).parameters
    for name, value in known.items():
        default = parameters[name].default if name in parameters else inspect.Parameter.empty
        missing = given.get(name) is None and name in parameters
        if missing or (name in given and _plain(given[name]) in (_plain(default), *_inherited(made, name))):
            given[name] = value
    for argument in vars(given).values():
        for inner in argument if isinstance(argument, list) else [argument]:  # an ensemble's members are a list
            if isinstance(inner, Namespace) and "class_path" in inner:
                _fill(inner, known)
    network["init_args"] = given


def _inherited(made: Any, name: str) -> list[Any]:
    """Defaults behind ``**kwargs``: a torchvision builder hands them to the class that it returns."""
    made = inspect.signature(made).return_annotation if inspect.isfunction(made) else made
    if not inspect.isclass(made):
        return []
    signatures = [inspect.signature(ancestor).parameters for ancestor in made.__mro__ if ancestor is not object]
    return [_plain(parameters[name].default) for parameters in signatures if name in parameters]


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
