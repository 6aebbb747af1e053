"""A wrapper that gives the models of other libraries the interface of kdlight's own networks."""

__all__ = ["Tapped"]

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from kdlight.errors import UserError
from kdlight.internals import read_version
from kdlight.models.activations import Activations
from kdlight.models.classifier import CIFAR_SHAPE, Classifier, ImageShape
from kdlight.models.taps import find_taps, to_feature_map

HEAD_INPUT = "the input of the head"


if TYPE_CHECKING:
    Model = nn.Module | Callable[[], nn.Module]
else:
    Model = nn.Module  # the command line reads this type, and builds a module itself


class Tapped(Classifier):
    """A model of torchvision, of timm or of your own, whose intermediate outputs are read by forward hooks.

    The hooks exist only during `activations`, so copies, DDP and `forward` are not affected. If a module runs more than
    once, the output of its last run is read. The `Activations` have no ``preactivations`` (None).

    Args:
        model: A module from images to logits. In Python it can also be a class or a `functools.partial` that builds the
            module: the configuration of a run then describes the module, so that commands such as ``kdlight predict``
            can build it again.
        stages: Names of the modules whose outputs are the stages, as `model.named_modules()` gives them. Default:
            `find_taps` runs the model once to find these modules.
        embedding: Name of the module whose output, flattened, is the embedding. Default: the input of the head.
        stem: Name of the module whose output enters the first stage. By default it is found together with the stages;
            if `stages` is given and `stem` is not, there is no stem.
        head: Name of the linear layer that computes the logits. Default: the last linear layer.
        image_shape: (channels, height, width).

    Raises:
        UserError: If the model has no module of a given name, or no linear layer as its head.
    """

    def __init__(
        self,
        model: Model,
        stages: Sequence[str] | None = None,
        embedding: str | None = None,
        stem: str | None = None,
        head: str | None = None,
        image_shape: ImageShape = CIFAR_SHAPE,
    ) -> None:
        if not isinstance(model, nn.Module):
            model = model()
        modules = dict(model.named_modules())
        if stages is None:
            taps = find_taps(model, image_shape)
            stages, stem = taps.stages, stem or taps.stem
        for name in (*stages, embedding, stem, head):
            if name is not None and name not in modules:
                raise UserError(_describe_unknown_module(name, model, modules))
        linears = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
        head = head or next(reversed(linears), "")
        layer = modules[head]
        if not isinstance(layer, nn.Linear):
            raise UserError(
                f"the head of {type(model).__name__} must be a linear layer; the model's last linear layers are "
                f"{linears[-3:]}"
            )
        super().__init__(layer.out_features, image_shape)
        self.model = model
        self.head_name = f"model.{head}"
        self.stage_names = tuple(f"model.{name}" for name in stages)
        self.embedding_name = None if embedding is None else f"model.{embedding}"
        self.stem_name = None if stem is None else f"model.{stem}"

    def forward(self, images: Tensor) -> Tensor:
        return _take_logits(self.model(images))

    def activations(self, images: Tensor) -> Activations:
        """Run the model and read its intermediate outputs.

        Raises:
            UserError: If a named module did not run, did not return one tensor, or had its output overwritten.
        """
        outputs: dict[str, tuple[Any, int]] = {}

        def keep_output(name: str) -> Callable[..., None]:
            return lambda module, arguments, output: outputs.update({name: (output, _count_changes(output))})

        def keep_input(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            outputs[HEAD_INPUT] = (arguments[0], _count_changes(arguments[0]))

        names = {*self.stage_names, self.embedding_name, self.stem_name} - {None}
        hooks = [self.get_submodule(name).register_forward_hook(keep_output(name)) for name in names if name]
        hooks.append(self.head.register_forward_pre_hook(keep_input))
        try:
            logits = _take_logits(self.model(images))
        finally:
            for hook in hooks:
                hook.remove()

        def read(name: str) -> Tensor:
            output, version = outputs.get(name, (None, 0))
            if not isinstance(output, Tensor):
                raise UserError(f"{name} gave {type(output).__name__} where one tensor is needed: tap another module")
            if _count_changes(output) != version:
                raise UserError(
                    f"{name} is overwritten by the layer after it: tap that layer, or make that layer not in-place"
                )
            return output

        return Activations(
            logits=logits,
            embedding=read(self.embedding_name or HEAD_INPUT).flatten(1),
            stages=tuple(to_feature_map(read(name)) for name in self.stage_names),
            stem=None if self.stem_name is None else to_feature_map(read(self.stem_name)),
        )


def _take_logits(output: Any) -> Tensor:
    """Return the logits alone: in training, Inception and GoogLeNet return auxiliary logits with them."""
    logits: Tensor = output if isinstance(output, Tensor) else output.logits
    return logits


def _count_changes(output: Any) -> int:
    """Count the in-place changes of a tensor; return 0 for tensors of `inference_mode`, which do not count them."""
    return read_version(output) if isinstance(output, Tensor) and not output.is_inference() else 0


def _describe_unknown_module(name: str, model: nn.Module, modules: dict[str, nn.Module]) -> str:
    nearest = get_close_matches(name, modules, n=5, cutoff=0.4) or [child for child, _ in model.named_children()]
    return f"{type(model).__name__} has no module {name!r}; nearest: {', '.join(nearest)}"
