"""The teacher, which is held outside the module tree and never trained."""

__all__ = ["Frozen"]

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier, require_classifier


class Frozen:
    """A classifier in eval mode whose parameters get no gradient.

    A `Frozen` is not an `nn.Module`. So a module that holds a `Frozen` as an attribute does not list it as a child: the
    holder's parameters and `state_dict` do not contain the classifier's, DDP does not broadcast the classifier, and
    the holder's `train()` does not reach it. The holder has to override `_apply`, so that the classifier moves to a
    device whenever the holder does. `Module.to` calls `_apply` with a function that moves a tensor; the holder passes
    this function on::

        def _apply(self, fn, recurse=True):
            self.teacher.convert(fn)
            return super()._apply(fn, recurse)

    `deepcopy` and `pickle` of a `Frozen` copy the classifier with it.

    Args:
        model: The classifier. It is changed, not copied: it is put into eval mode, and its parameters get no gradient.

    Attributes:
        lowered: The floating point type that `lower` was given; None if `lower` was not called.
    """

    def __init__(self, model: Classifier) -> None:
        require_classifier("Frozen", model)
        self.model = model.eval().requires_grad_(False)
        self._compiled: Callable[[Tensor], Activations] | None = None
        self.lowered: torch.dtype | None = None
        self._sha256: str | None = None

    @property
    def num_classes(self) -> int:
        """The number of logits."""
        return self.model.num_classes

    @property
    def built_from(self) -> dict[str, Any]:
        """The import path of the model's class or function, and its arguments, as a configuration file has them."""
        return self.model.built_from

    def compile(self, mode: str) -> None:
        """Compile the model with `torch.compile`. A second call changes nothing."""
        if self._compiled is None:
            self._compiled = torch.compile(self.model.activations, mode=mode)

    def lower(self, dtype: torch.dtype) -> None:
        """Compute in this floating point type from now on. `activations` converts its results to float32.

        `sha256` still returns the hash of the weights before the conversion, because the teacher in another precision
        counts as the same teacher.
        """
        if self.lowered is None:
            self._sha256 = self.sha256()
        self.lowered = dtype
        self.model.to(dtype)

    def activations(self, images: Tensor, *, inference: bool = False, gradient_from: int | None = None) -> Activations:
        """Run the model. A graph for gradients is recorded only if `gradient_from` is given.

        Args:
            images: (batch, channels, height, width).
            inference: Run in `inference_mode`, which is faster than `no_grad`. A backward pass cannot use the tensors
                that are returned. So these tensors cannot be the input of a module that is trained, such as a
                convolution on the teacher's maps, and they cannot be multiplied by tensors that the student computed.
            gradient_from: The index of a stage. The graph is recorded from this stage's output to the logits, so that
                `torch.autograd.grad(activations.logits[...].sum(), activations.stages[gradient_from])` works. If it
                is given, `inference` has no effect, and the results are not converted to float32.
        """
        # Other code that holds the model may have called `train()`.
        if self.model.training:
            self.model.eval()
        if self.lowered is not None:
            images = images.to(self.lowered)
        if gradient_from is None:
            with torch.inference_mode() if inference else torch.no_grad():
                computed = (self._compiled or self.model.activations)(images)
                return computed if self.lowered is None else computed.map(Tensor.float)
        stage = self.model.get_submodule(self.model.stage_names[gradient_from])
        hook = stage.register_forward_hook(_start_graph)
        try:
            with torch.inference_mode(False), torch.enable_grad():
                return self.model.activations(images.detach())
        finally:
            hook.remove()

    def __getstate__(self) -> dict[str, Any]:
        # The compiled code is left out, because in a copy it would still use this model's weights.
        return {**vars(self), "_compiled": None}

    def convert(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Apply a function to every parameter and buffer, for example the function that `Module.to` passes to `_apply`.

        If the function changes the type, `sha256` still returns the hash of the weights before the change.
        """
        parameter = next(self.model.parameters(), None)
        if parameter is not None and self._sha256 is None and fn(parameter.new_empty(0)).dtype != parameter.dtype:
            self._sha256 = self.sha256()
        self.model._apply(fn)
        if self.lowered is not None:
            self.model.to(self.lowered)

    def sha256(self) -> str:
        """Return a hash of the names, types, shapes and values in the `state_dict`. The device makes no difference."""
        if self._sha256 is not None:
            return self._sha256
        digest = hashlib.sha256()
        for name, tensor in self.model.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()


def _start_graph(module: nn.Module, arguments: tuple[Tensor], output: Tensor | tuple[Tensor, ...]) -> None:
    for tensor in (output,) if isinstance(output, Tensor) else output:
        tensor.requires_grad_()
