"""The values that a classifier computes on its way from images to logits."""

__all__ = ["Activations"]

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from torch import Tensor

from kdlight.errors import UserError


class Activations(NamedTuple):
    """The values of one forward pass of a classifier.

    Attributes:
        logits: (batch, classes).
        embedding: (batch, dim), the input of the classifier head.
        stages: The feature maps at the end of each stage, in order, (batch, channels, height, width).
        preactivations: For each stage, the map before the ReLU that ends the stage. In a pre-activation network, a
            batch norm and a ReLU follow each stage; there, it is the map between these two layers. None for networks
            without these ReLUs (MobileNetV2), for the RID authors' CIFAR-100 networks, for ensembles, and for networks
            of other libraries.
        stem: The feature map that enters the first stage, or None if it is not known.
        member_logits: The logits of each member if the classifier is an `Ensemble`; empty for a single network.
    """

    logits: Tensor
    embedding: Tensor
    stages: tuple[Tensor, ...]
    preactivations: tuple[Tensor, ...] | None = None
    stem: Tensor | None = None
    member_logits: tuple[Tensor, ...] = ()

    def keep_only(self, fields: Collection[str]) -> "Activations":
        """Drop all fields but the given ones, so that their memory is freed. Using a dropped field raises an error."""
        dropped: dict[str, Any] = {name: DroppedField(name) for name in self._fields if name not in fields}
        return self._replace(**dropped)

    def map(self, fn: Callable[[Tensor], Tensor]) -> "Activations":
        """Apply a function to every tensor."""
        return Activations(
            fn(self.logits),
            fn(self.embedding),
            tuple(map(fn, self.stages)),
            None if self.preactivations is None else tuple(map(fn, self.preactivations)),
            None if self.stem is None else fn(self.stem),
            tuple(map(fn, self.member_logits)),
        )


class DroppedField:
    """Stands in the place of a field that was dropped, and raises an error when it is used.

    Args:
        field: The name of the dropped field.
    """

    def __init__(self, field: str) -> None:
        self.field = field

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise UserError(
            f"the teacher's {self.field} was not kept: expected a method whose class attribute `reads` lists all "
            f"outputs of the teacher that the method uses; add {self.field!r} to `reads`"
        )

    __getattr__ = __iter__ = __len__ = __bool__ = __getitem__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = __pow__ = _refuse

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        next((value for value in args if isinstance(value, cls)), cls("output"))._refuse()
