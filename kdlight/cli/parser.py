"""Lightning's argument parser, which also fills in values that follow from another part of the configuration."""

import inspect
import re
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from kdlight.cli.imports import import_object
from kdlight.cli.objects import find_data_facts
from kdlight.files import expand_home
from kdlight.models.published import find_published, is_published
from kdlight.models.weights import count_classes, read_state_dict
from kdlight.runs.folder import find_folder

FILLED = ("num_classes", "image_shape")  # networks' arguments; data and teacher's weights determine their values
PREPARED = ("image_size", "mean", "std")  # the data's arguments; a network's weights determine their values


class Parser(LightningArgumentParser):
    """Fills ``num_classes`` and ``image_shape`` of the networks before a configuration is validated.

    The student's number of classes and all image shapes come from the data. A teacher's number of classes comes from
    its weights. jsonargparse's ``link_arguments`` cannot do this, because it does not reach networks inside other
    networks, nor networks that a function builds.
    """

    def validate(self, cfg: Namespace, *args: Any, **kwargs: Any) -> None:
        """Expand ``~`` in paths, fill in the classes and shapes, then validate."""
        expand_home(cfg)
        whole = cfg.get(cfg.get("subcommand") or "") or cfg
        if isinstance(whole.get("data"), Namespace) and isinstance(whole.get("model"), Namespace):
            fill_networks(whole)
        try:
            super().validate(cfg, *args, **kwargs)
        except TypeError as error:
            missing = re.fullmatch(r"(the following arguments are required: )(.+)", str(error))
            lacking = [name for name in missing[2].split(", ") if name not in FILLED] if missing else []
            if missing is None or lacking:
                raise (TypeError(missing[1] + ", ".join(lacking)) if missing else error) from None
            # The missing arguments are in `FILLED`; they will be filled in when the whole configuration is validated.


def fill_networks(config: Namespace) -> None:
    """Set ``num_classes`` and ``image_shape`` of all networks, as the data and the teacher's weights require."""
    method = config.model.get("init_args")
    if method is not None:
        _prepare_like_the_weights(config)
    known = find_data_facts(yaml.safe_dump(config.data.as_dict()))
    if method is None or known is None:
        return
    if isinstance(method.get("student"), Namespace):
        _fill_network(method.student, known)
    for holder in list_teacher_holders(config):
        _fill_network(holder.teacher, {**known, **_count_classes(holder.get("teacher_weights"))})


def list_teacher_holders(config: Namespace) -> list[Namespace]:
    """Return the ``init_args`` of the method if it has a teacher, and of those callbacks that have one."""
    callbacks = config.get("trainer.callbacks") or []
    holders = [config.model, *(callbacks if isinstance(callbacks, list) else [callbacks])]
    arguments = [holder.get("init_args") for holder in holders if isinstance(holder, Namespace)]
    return [given for given in arguments if given is not None and isinstance(given.get("teacher"), Namespace)]


def _prepare_like_the_weights(config: Namespace) -> None:
    """Where the data's image size, mean and std are not given, set them to those that the weights were trained with.

    These are the teacher's weights, or the student's if no values are found for the teacher's. If a run of kdlight
    wrote the weights, the values are those of that run's data; otherwise they are those that timm or torchvision
    publish for the network. If this gives no image size, the data module chooses one for the images in its folder.
    """
    made = import_object(config.data.get("class_path", ""))
    parameters = inspect.signature(made).parameters if callable(made) else {}
    if not all(name in parameters and parameters[name].default is None for name in PREPARED):
        return
    given: Namespace = config.data.get("init_args") or Namespace()
    found: dict[str, Any] = {}
    method = config.model.init_args
    networks = [(holder.teacher, holder.get("teacher_weights")) for holder in list_teacher_holders(config)]
    for network, weights in [*networks, (method.get("student"), method.get("student_weights"))]:
        found = found or _find_in_run(weights) or _find_published(network, weights)
    if given.get("image_size") is not None:  # the published resizing suits only the published image size
        found.pop("resize_size", None)
    for name, value in found.items():
        if given.get(name) is None:
            given[name] = value
    if given.get("image_size") is None and given.get("data_dir") and hasattr(made, "choose_image_size"):
        given["image_size"] = made.choose_image_size(given["data_dir"])
    config.data["init_args"] = given


def _find_in_run(weights: str | None) -> dict[str, Any]:
    """Return how the run that wrote a checkpoint prepared its images; {} if the file belongs to no run."""
    run = find_folder(Path(weights)) if weights else None
    if run is None:
        return {}
    arguments = run.read_config()["data"].get("init_args") or {}
    known = {name: arguments[name] for name in (*PREPARED, "resize_size") if arguments.get(name) is not None}
    return known if all(name in known for name in PREPARED) else {}


def _find_published(network: Any, weights: str | None) -> dict[str, Any]:
    """Return how timm or torchvision prepare images for a network; if its weights are random, only mean and std."""
    if not isinstance(network, Namespace):
        return {}
    of_weights = getattr(import_object(network.get("class_path", "")), "find_preprocessing", None)
    arguments = network.get("init_args") or Namespace()
    if of_weights is None or arguments.get("name") is None:
        return {}
    prepared = of_weights(arguments.name, arguments.get("pretrained") or False)
    of_images = ("mean", "std") if not (weights or arguments.get("pretrained")) else (*PREPARED, "resize_size")
    return {} if prepared is None else {name: _to_list(getattr(prepared, name)) for name in of_images}


def _to_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _count_classes(path: str | None) -> dict[str, Any]:
    """Return the number of classes of the weights at a path; {} if there is no file. A later check reports that."""
    if path and is_published(path):
        return {"num_classes": find_published(path).num_classes}
    return {"num_classes": count_classes(read_state_dict(path))} if path and Path(path).is_file() else {}


def _fill_network(network: Namespace, known: dict[str, Any]) -> None:
    """Set the arguments of a network and of the networks inside it to known values, unless a user has chosen others.

    Arguments that a network does not accept are left out.
    """
    made = import_object(network.get("class_path", ""))
    if made is None:
        return
    given: Namespace = network.get("init_args") or Namespace()
    parameters = inspect.signature(made).parameters
    for name, value in known.items():
        default = parameters[name].default if name in parameters else inspect.Parameter.empty
        missing = given.get(name) is None and name in parameters
        if missing or (name in given and _to_tuple(given[name]) in (_to_tuple(default), *_find_inherited(made, name))):
            given[name] = value
    if "size" in parameters and isinstance(given.get("size"), int):  # `Resized` resizes images for the network inside
        known = {**known, "image_shape": (known["image_shape"][0], given.size, given.size)}
    for argument in vars(given).values():
        for inner in argument if isinstance(argument, list) else [argument]:  # an ensemble has a list of members
            if isinstance(inner, Namespace) and "class_path" in inner:
                _fill_network(inner, known)
    network["init_args"] = given


def _find_inherited(made: Any, name: str) -> list[Any]:
    """Return the defaults that an argument has in a network's class and in the bases of this class.

    A value that equals one of them does not count as chosen by the user.
    """
    made = inspect.signature(made).return_annotation if inspect.isfunction(made) else made
    if not inspect.isclass(made):
        return []
    signatures = [inspect.signature(ancestor).parameters for ancestor in made.__mro__ if ancestor is not object]
    return [_to_tuple(parameters[name].default) for parameters in signatures if name in parameters]


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
