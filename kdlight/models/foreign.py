"""The networks of torchvision and timm, built from their names."""

__all__ = ["Timm", "Torchvision"]

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from kdlight.errors import UserError
from kdlight.models.classifier import PHOTOGRAPH_SHAPE, ImageShape
from kdlight.models.tapped import Tapped
from kdlight.ranges import Fraction

NAMES_SHOWN = 5  # how many similar names a message shows


class Preprocessing(NamedTuple):
    """How images are prepared for published weights.

    Attributes:
        image_size: Height and width that the network sees.
        resize_size: The length to which the shorter side is resized before the middle of the image is cut out.
        mean: The mean of each channel, for pixels in [0, 1].
        std: The standard deviation of each channel, for pixels in [0, 1].
    """

    image_size: int
    resize_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Torchvision(Tapped):
    """A classifier of torchvision, chosen by one of the names that ``list_models(torchvision.models)`` returns.

    Args:
        name: The name, such as ``resnet18`` or ``mobilenet_v3_small``.
        num_classes: The number of logits.
        image_shape: (channels, height, width). torchvision's networks take three channels.
        pretrained: Start from torchvision's weights: true for the default ones, or a name such as ``IMAGENET1K_V2``. If
            `num_classes` differs from the weights' number of classes, the head starts from random weights.
        norm_momentum: Momentum of the batch norms' running statistics; None for the network's own. torchvision's
            MobileNetV3 has 0.01. With 0.01, the running statistics, which evaluation uses, need about a thousand steps
            to come close to the statistics of training batches.
        options: Further arguments of torchvision's function that builds the network, such as ``{dropout: 0.1}``.
        taps: Some or all of the arguments `stages`, `embedding`, `stem` and `head` of `Tapped`, by name. The others
            keep their defaults.

    Raises:
        UserError: If there is no such network, or its weights are not on this machine and cannot be fetched.
    """

    def __init__(
        self,
        name: str,
        num_classes: int = 1000,
        image_shape: ImageShape = PHOTOGRAPH_SHAPE,
        *,
        pretrained: bool | str = False,
        norm_momentum: Fraction | None = None,
        options: Mapping[str, Any] | None = None,
        taps: Mapping[str, Any] | None = None,
    ) -> None:
        from torchvision.models import get_model

        _require_torchvision(name)
        weights = _find_torchvision_weights(name, pretrained) if pretrained else None
        if image_shape[0] != 3:
            raise UserError(f"torchvision's {name} takes images of 3 channels, the data have {image_shape[0]}")
        given = dict(options or {})
        if name.startswith("vit_") and weights is None:
            given.setdefault("image_size", image_shape[1])
        if name in ("googlenet", "inception_v3") and weights is None:
            given.setdefault("init_weights", True)
        if weights is None:
            given["num_classes"] = num_classes
        try:
            model = get_model(name, weights=weights, **given)
        except OSError as error:
            if weights is None:
                raise
            raise UserError(
                f"the weights of torchvision's {name} could not be fetched from {weights.url} ({error}): put the file "
                f"into {_find_hub_folder()}, or leave `pretrained` out"
            ) from error
        super().__init__(model, image_shape=image_shape, **_check_taps(taps))
        self.has_weights = weights is not None and self.num_classes == num_classes
        for module in self.modules():
            if norm_momentum is not None and isinstance(module, nn.BatchNorm2d):
                module.momentum = norm_momentum
        if self.num_classes != num_classes:
            _replace_head(self, num_classes)

    @staticmethod
    def find_preprocessing(name: str, pretrained: bool | str = False) -> Preprocessing | None:
        """Return how torchvision prepares images for a network's weights.

        Args:
            name: The name of the network.
            pretrained: The name of the weights; true or false: the default weights.

        Returns:
            The preprocessing; None if torchvision does not have this network or does not publish these weights.
        """
        try:
            weights = _find_torchvision_weights(name, pretrained or True)
        except UserError:
            return None
        transform = weights.transforms()
        return Preprocessing(
            transform.crop_size[0], transform.resize_size[0], tuple(transform.mean), tuple(transform.std)
        )


class Timm(Tapped):
    """A classifier of timm, chosen by one of the names that `timm.list_models` returns.

    timm is not installed with kdlight; install it with ``pip install kdlight[timm]``.

    Args:
        name: The name, such as ``resnet10t``. A tag after a dot selects one of several sets of weights, as in
            ``resnet18.a1_in1k``.
        num_classes: The number of logits.
        image_shape: (channels, height, width).
        pretrained: Start from timm's weights. If `num_classes` differs from the weights' number of classes, the head
            starts from random weights.
        options: Further arguments of `timm.create_model`, such as ``{drop_path_rate: 0.1}``.
        taps: Some or all of the arguments `stages`, `embedding`, `stem` and `head` of `Tapped`, by name. The others
            keep their defaults.

    Raises:
        UserError: If timm is not installed or has no such network, or its weights are not on this machine and cannot be
            fetched.
    """

    def __init__(
        self,
        name: str,
        num_classes: int = 1000,
        image_shape: ImageShape = PHOTOGRAPH_SHAPE,
        *,
        pretrained: bool = False,
        options: Mapping[str, Any] | None = None,
        taps: Mapping[str, Any] | None = None,
    ) -> None:
        timm = _import_timm()
        published = _find_timm_config(name)
        given = {"num_classes": num_classes, "in_chans": image_shape[0], **(options or {})}
        if published.fixed_input_size and tuple(published.input_size[1:]) != tuple(image_shape[1:]):
            given.setdefault("img_size", tuple(image_shape[1:]))
        try:
            model = timm.create_model(name, pretrained=pretrained, **given)
        except (OSError, RuntimeError) as error:
            if not pretrained:
                raise
            address = f"https://huggingface.co/{published.hf_hub_id}" if published.hf_hub_id else published.url
            raise UserError(
                f"the weights of timm's {name} could not be loaded from {address} "
                f"({' '.join(str(error).split())[:200]}): download the file model.safetensors from there, and give its "
                "path as teacher_weights or student_weights, without `pretrained`"
            ) from error
        super().__init__(model, image_shape=image_shape, **_check_taps(taps))
        self.has_weights = pretrained and published.num_classes == num_classes

    @staticmethod
    def find_preprocessing(name: str, pretrained: bool = False) -> Preprocessing | None:
        """Return how timm prepares images for a network's weights; None if timm publishes no weights."""
        published = _find_timm_config(name)
        if not published.has_weights:
            return None
        size = published.input_size[1]
        return Preprocessing(size, round(size / published.crop_pct), tuple(published.mean), tuple(published.std))


def _require_torchvision(name: str) -> None:
    from torchvision import models

    classifiers = models.list_models(module=models)
    if name not in classifiers:
        raise UserError(_describe_unknown_network("torchvision", name, classifiers))


def _find_torchvision_weights(name: str, wanted: bool | str) -> Any:
    from torchvision.models import get_model_weights

    _require_torchvision(name)
    published = get_model_weights(name)
    if wanted is True:
        return published.DEFAULT
    known = published.__members__  # the names, with the alias DEFAULT
    if wanted not in known:
        raise UserError(
            f"torchvision's {name} has no weights {wanted}: expected one of {', '.join(known)}; to start from random "
            "weights, leave `pretrained` out"
        )
    return published[wanted]


def _find_hub_folder() -> str:
    from torch.hub import get_dir

    return f"{get_dir()}/checkpoints"


def _import_timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError:
        raise UserError("kdlight.models.Timm needs timm, which is not installed: pip install kdlight[timm]") from None
    return timm


def _find_timm_config(name: str) -> Any:
    timm = _import_timm()
    if not timm.is_model(name.partition(".")[0]):
        raise UserError(_describe_unknown_network("timm", name, timm.list_models()))
    try:
        return timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
    except RuntimeError:  # timm does not know the tag
        tags = timm.list_pretrained(f"{name.partition('.')[0]}.*")
        known = f"expected one of {', '.join(tags)}, or no tag" if tags else "timm publishes none; leave the tag out"
        raise UserError(f"timm has no weights {name}: {known}") from None


def _describe_unknown_network(library: str, name: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=NAMES_SHOWN, cutoff=0.5)
    return f"{library} has no classifier named {name!r}; nearest: {', '.join(near) or 'none'}"


def _check_taps(taps: Mapping[str, Any] | None) -> dict[str, Any]:
    unknown = set(taps or {}) - {"stages", "embedding", "stem", "head"}
    if unknown:
        raise UserError(f"taps: expected stages, embedding, stem or head, got {', '.join(sorted(unknown))}")
    return dict(taps or {})


def _replace_head(tapped: Tapped, num_classes: int) -> None:
    """Replace the model's head by a new one with another number of classes."""
    head = tapped.head
    assert isinstance(head, nn.Linear)
    parent, _, name = tapped.head_name.rpartition(".")
    setattr(tapped.get_submodule(parent), name, nn.Linear(head.in_features, num_classes, head.bias is not None))
    tapped.num_classes = num_classes
