"""Convert a teacher's activations to named tensors that can be stored, and back."""

import math

import torch
from torch import Tensor

from kdlight.models.activations import Activations

OF_LOGITS = ("logits", "member_logits")


def encode(computed: Activations, fields: tuple[str, ...], *, top: int | None, dtype: torch.dtype) -> dict[str, Tensor]:
    """Convert fields of the activations to tensors by name: ``logits``, ``stages.0`` and so on.

    Args:
        computed: The teacher's activations on a batch.
        fields: Names of fields of `Activations`; fields that the teacher does not have are left out.
        top: How many of a sample's highest logits are kept, together with their classes and the logsumexp of the other
            logits (``logits.top``, ``logits.classes``, ``logits.rest``). None: all logits are kept.
        dtype: The type in which floating point numbers are stored.

    Returns:
        (batch, …) tensors by name.
    """
    encoded: dict[str, Tensor] = {}
    for field in fields:
        value = getattr(computed, field)
        named = {field: value} if isinstance(value, Tensor) else {f"{field}.{i}": v for i, v in enumerate(value or ())}
        for name, tensor in named.items():
            if top is not None and field in OF_LOGITS:
                encoded |= {f"{name}.{part}": kept for part, kept in _keep_top(tensor.float(), top).items()}
            else:
                encoded[name] = tensor
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in encoded.items()}


def decode(stored: dict[str, Tensor], fields: tuple[str, ...], *, num_classes: int) -> Activations:
    """Convert the tensors of `encode` back to activations, in float32.

    If only the top logits were stored, all other logits get one common value. With this value, the total probability of
    the other classes at temperature 1 is the same as with the teacher's own logits.
    """
    decoded: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        base, _, part = name.rpartition(".")
        if part == "top":
            values, classes, rest = tensor.float(), stored[f"{base}.classes"].long(), stored[f"{base}.rest"].float()
            others = rest - math.log(num_classes - values.shape[1])
            decoded[base] = others[:, None].repeat(1, num_classes).scatter(1, classes, values)
        elif part not in ("classes", "rest"):
            decoded[name] = tensor.float()

    def collect(field: str) -> tuple[Tensor, ...]:
        return tuple(decoded[f"{field}.{i}"] for i in range(len(decoded)) if f"{field}.{i}" in decoded)

    absent = torch.empty(0)
    return Activations(
        logits=decoded.get("logits", absent),
        embedding=decoded.get("embedding", absent),
        stages=collect("stages"),
        preactivations=collect("preactivations") or None,
        stem=decoded.get("stem"),
        member_logits=collect("member_logits"),
    ).keep_only(fields)


def _keep_top(logits: Tensor, count: int) -> dict[str, Tensor]:
    values, classes = logits.topk(count, dim=1)
    rest = logits.scatter(1, classes, -math.inf).logsumexp(1)
    return {"top": values, "classes": classes.to(torch.int32), "rest": rest}
