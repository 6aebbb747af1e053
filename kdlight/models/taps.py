"""Find where the stages of another library's model end: run it once, and look at its modules' output shapes."""

import copy
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kdlight.internals import read_version
from kdlight.models.classifier import ImageShape

MOST_STAGES = 4  # If a model has more resolutions, only the deepest four are stages.
# Height and width of the images of the trial run. With small images, several deep maps would have one pixel, and their
# stages could not be told apart.
PROBE_SIZE = 224
LARGEST_PREFIX = 8  # how many tokens, such as a class token or registers, may precede the tokens of the image


class Taps(NamedTuple):
    """The modules whose outputs are the ends of a model's stages, by their names in `model.named_modules()`.

    Attributes:
        stages: The last module of each stage.
        stem: The module whose output enters the first stage; None if there is no such module.
    """

    stages: tuple[str, ...]
    stem: str | None


class _ModuleOutput(NamedTuple):
    """A feature map that a module returned.

    Attributes:
        name: The module's name.
        shape: Channels, height, width.
        entered: When the module's call began: a number that grows during the run.
        left: When the call ended, on the same scale.
        pools: Whether the module is a pooling layer.
    """

    name: str
    shape: tuple[int, ...]
    entered: int
    left: int
    pools: bool

    @property
    def size(self) -> tuple[int, ...]:
        return self.shape[1:]


def find_taps(model: nn.Module, image_shape: ImageShape) -> Taps:
    """Find the stages of a model by the resolutions of its feature maps.

    The maps of one stage have the same resolution, and the stage ends with the last module that returns such a map.
    Modules inside of residual blocks do not count. Of more than four stages, only the last four are kept. If all maps
    have the same resolution, as in a vision transformer, the network is cut into four stages of about equally many
    blocks. If no module returns a map, the network has no stages, and methods that need stages refuse it.

    Args:
        model: The model, which computes logits from images. A copy of it is run in evaluation mode, on the "meta"
            device if possible.
        image_shape: The shape of the images that the model is meant for. It is used if the model does not accept images
            of 224x224 pixels.
    """
    channels, height, width = image_shape  # `image_shape` is a list if it comes from a configuration
    outputs = _run_trial(model, (channels, height, width))
    if len({output.size for output in outputs}) == 1:
        quarters = _find_quarters(outputs)
        before = [output.name for output in outputs if output.left < quarters[0].entered]
        return Taps(tuple(output.name for output in quarters), before[-1] if before else None)
    trunk = [output for output in outputs if _is_in_chain(model, output.name)]
    if len({output.size for output in trunk}) < 2:
        # The layers are inside of a module that is no container. For each resolution, the least nested modules count.
        depths = {output.size: output.name.count(".") for output in sorted(outputs, key=lambda o: -o.name.count("."))}
        trunk = [output for output in outputs if output.name.count(".") == depths[output.size]]
    stages: list[_ModuleOutput] = []
    for output in {output.size: output for output in trunk}.values():
        # An output that is not smaller than the previous stage's map may be attention weights.
        if not stages or math.prod(output.size) < math.prod(stages[-1].size):
            stages.append(output)
    stages = stages[-MOST_STAGES:]
    return Taps(tuple(stage.name for stage in stages), _find_stem(trunk, stages[0]) if stages else None)


def to_feature_map(output: Tensor) -> Tensor:
    """Rearrange a module's output into a feature map (batch, channels, height, width).

    Transformers return (batch, height, width, channels) or (batch, tokens, channels). The tokens of the image form a
    square grid; a class token and other extra tokens may precede the grid. Outputs of any other shape are returned
    unchanged.
    """
    if output.ndim == 4 and output.shape[1] == output.shape[2] != output.shape[3]:
        return output.permute(0, 3, 1, 2)
    if output.ndim == 3:
        side = math.isqrt(output.shape[1])
        prefix = output.shape[1] - side * side
        if side > 1 and prefix <= LARGEST_PREFIX:
            tokens: Tensor = output[:, prefix:].transpose(1, 2)
            return tokens.reshape(*tokens.shape[:2], side, side)
    return output


def _run_trial(model: nn.Module, image_shape: ImageShape) -> list[_ModuleOutput]:
    """Run a copy of the model. Return the feature maps of its trunk (`_keep_trunk`) in the order of computation."""
    shapes = dict.fromkeys([(image_shape[0], PROBE_SIZE, PROBE_SIZE), image_shape])
    attempts: list[tuple[str, ImageShape]] = [(device, shape) for device in ("meta", "cpu") for shape in shapes]
    for place, (device, shape) in enumerate(attempts):
        trial = copy.deepcopy(model).to(device).eval()
        kept: list[tuple[_ModuleOutput, Tensor, int]] = []
        entered: dict[str, int] = {}
        clock = iter(range(10**9))
        for name, module in trial.named_modules():
            if name:
                module.register_forward_pre_hook(_make_entry_hook(name, entered, clock))
                module.register_forward_hook(_make_exit_hook(name, entered, kept, clock))
        try:
            with torch.no_grad():
                trial(torch.zeros(2, *shape, device=device))
        except Exception:  # The model may refuse the size, or need tensors with values, which "meta" lacks.
            if place + 1 == len(attempts):
                raise
            continue
        # An output that the next layer overwrites cannot be tapped. The maps of a square image are square. Outputs that
        # are not square, such as some attention weights, are no maps.
        square = shape[1] == shape[2]
        outputs = [output for output, tensor, version in kept if read_version(tensor) == version]
        return _keep_trunk(trial, [output for output in outputs if not square or output.size[0] == output.size[1]])
    raise AssertionError


def _make_entry_hook(name: str, entered: dict[str, int], clock: Any) -> Callable[..., None]:
    return lambda module, arguments: entered.update({name: next(clock)})


def _make_exit_hook(
    name: str, entered: dict[str, int], kept: list[tuple[_ModuleOutput, Tensor, int]], clock: Any
) -> Any:
    def keep(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            shape = tuple(to_feature_map(output).shape[1:])
            if len(shape) == 3 and shape[1] * shape[2] > 1:
                pools = "Pool" in type(module).__name__
                seen = _ModuleOutput(name, shape, entered[name], next(clock), pools)
                kept.append((seen, output, read_version(output)))

    return keep


def _keep_trunk(model: nn.Module, outputs: list[_ModuleOutput]) -> list[_ModuleOutput]:
    """Drop the outputs of poolings, dropout and similar modules that run after the last module with weights."""
    weighted = [bool(list(model.get_submodule(output.name).parameters())) for output in outputs]
    last = max((place for place, has in enumerate(weighted) if has), default=-1)
    behind = re.compile("Pool|Permute|Drop|Identity|Flatten")
    kept = [
        output
        for place, output in enumerate(outputs)
        if place <= last or not behind.search(type(model.get_submodule(output.name)).__name__)
    ]
    # If a module runs twice, its last output counts, as it does when the module is tapped.
    return list({output.name: output for output in kept}.values())


def _is_in_chain(model: nn.Module, name: str) -> bool:
    """Return whether a module is inside of containers only (nn.Sequential, …), and so in no branch of a block."""
    parents = name.split(".")[:-1]
    around = [model.get_submodule(".".join(parents[: depth + 1])) for depth in range(len(parents))]
    return all(type(parent) in (nn.Sequential, nn.ModuleList, nn.ModuleDict) for parent in around)


def _find_stem(trunk: list[_ModuleOutput], stage: _ModuleOutput) -> str | None:
    """Return the name of the module whose output enters the first stage.

    This is the stage's first module if that module is a pooling, and otherwise the last module before the stage. If no
    module runs before the stage, the result is the module that runs before the stage's last module.
    """
    own = [output for output in trunk if output.size == stage.size]
    earlier = [output for output in trunk if output.left < own[0].entered]
    if own[0].pools and own[0].name != stage.name:
        return own[0].name
    if not earlier:
        earlier = [output for output in own if output.left < stage.entered]
    return earlier[-1].name if earlier else None


def _find_quarters(outputs: list[_ModuleOutput]) -> list[_ModuleOutput]:
    """Find the longest row of similar modules, such as transformer blocks. Return the last output of each quarter.

    Similar modules have names that differ only in the number at the end. If the row has fewer than four modules, only
    its last output is returned.
    """
    rows: dict[str, list[_ModuleOutput]] = {}
    for output in outputs:
        rows.setdefault(re.sub(r"\d+$", "", output.name), []).append(output)
    row = max(rows.values(), key=lambda row: (len(row), -row[0].name.count(".")))
    if len(row) < MOST_STAGES:
        return row[-1:]
    return [row[len(row) * quarter // MOST_STAGES - 1] for quarter in range(1, MOST_STAGES + 1)]
