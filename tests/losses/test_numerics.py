"""What every loss keeps: found by signature, so that a new one is tested without an entry here."""

import inspect
import typing
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import kdlight.losses

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
CHANNELS = 6
MISSING = object()


def parameters(name: str) -> list[inspect.Parameter]:
    """The arguments of a public function that have no default."""
    found = inspect.signature(getattr(kdlight.losses, name)).parameters.values()
    return [p for p in found if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def is_loss(name: str) -> bool:
    """Whether a public function is called a loss, or compares something with the teacher's and returns a tensor."""
    function = getattr(kdlight.losses, name)
    if not inspect.isfunction(function):
        return False
    second = [p.name for p in parameters(name) if p.kind is not p.KEYWORD_ONLY][1:2]
    returned = inspect.signature(function).return_annotation
    compares = any("teacher" in name for name in second) and returned in (Tensor, inspect.Signature.empty)
    return name.endswith("_loss") or compares


ALL = [name for name in dir(kdlight.losses) if is_loss(name)]
LOGITS = [name for name in ALL if any("logits" in parameter.name for parameter in parameters(name)[:2])]
FEATURES = sorted(set(ALL) - set(LOGITS))


def example(kind: Any) -> Any:
    """A value of an annotation: numbers 2, sizes 1, tensors 0.5 a channel, of choices the first."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, UnionType):
        return example(inner[0])
    if origin is Literal:
        return inner[0]
    if origin in (Sequence, tuple, list):
        return (example(inner[0]),)
    return {float: 2.0, int: 1, bool: True, Tensor: torch.full((CHANNELS,), 0.5)}.get(kind, MISSING)


def bound(name: str, **given: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss as a function of student and teacher: the other arguments as given by name, or an `example`."""
    loss = getattr(kdlight.losses, name)
    kinds = typing.get_type_hints(loss)
    values = {p.name: given[p.name] if p.name in given else example(kinds.get(p.name)) for p in parameters(name)[2:]}
    for argument, value in values.items():
        if value is MISSING:
            pytest.fail(
                f"{name}: no value is known for the argument {argument} of type {kinds.get(argument)}. In the file of "
                "the loss, give it a default, or annotate it as float, int, bool, Literal, a sequence of one of these, "
                "or Tensor (one number a channel). Class numbers (batch,) are named target, a mask of classes strong"
            )
    return lambda student, teacher: loss(student, teacher, **values)


def labels(batch: int, classes: int) -> dict[str, Tensor]:
    return {"target": torch.randint(classes, (batch,)), "strong": torch.rand(batch, classes) < 0.5}


def test_the_known_losses_are_found() -> None:
    assert {"kd_loss", "dkd_loss", "cakd_loss", "nkd_loss", "dist_loss", "logit_mse_loss"} <= set(LOGITS)
    assert {"vid_loss", "rid_mismatch", "at_loss", "hcl_loss", "ofd_loss", "crd_loss"} <= set(FEATURES)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("classes", [2, 1000])
@pytest.mark.parametrize("name", LOGITS)
def test_finite_at_logit_gaps_of_ten_thousand(name: str, classes: int, dtype: torch.dtype, autocast: bool) -> None:
    logits = 1e4 * torch.rand(2, 4, classes)
    logits[0, 0, 0] = logits[1, 0, -1] = logits[:, 1, 0] = 2e4
    student, teacher = logits.to(dtype).unbind()
    student.requires_grad_()
    half = dtype if dtype != torch.float32 else torch.bfloat16
    with torch.autocast("cpu", dtype=half, enabled=autocast):
        value = bound(name, **labels(4, classes))(student, teacher)
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert torch.autograd.grad(value, student)[0].isfinite().all()


@pytest.mark.parametrize("name", LOGITS)
def test_invariant_to_constants_and_batch_order(name: str) -> None:
    logits, given, order = torch.randn(2, 6, 10, dtype=torch.float64), labels(6, 10), torch.randperm(6)
    value = bound(name, **given)(*logits).item()
    assert bound(name, **given)(*(logits + torch.randn(2, 6, 1))).item() == pytest.approx(value, rel=1e-6)
    permuted = {parameter: tensor[order] for parameter, tensor in given.items()}
    assert bound(name, **permuted)(*logits[:, order]).item() == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("name", LOGITS)
def test_gradient_reaches_the_students_logits_alone(name: str) -> None:
    student, teacher = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True).unbind()
    loss = bound(name, **labels(3, 5))
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student)
    assert torch.autograd.grad(loss(student, teacher), teacher, allow_unused=True) == (None,)


@pytest.mark.parametrize("name", LOGITS)
def test_logits_are_never_broadcast(name: str) -> None:
    with pytest.raises(ValueError, match=r"\(6, 10\) and \(1, 10\)"):
        bound(name, **labels(6, 10))(torch.randn(6, 10), torch.randn(1, 10))


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("name", ALL)
def test_half_precision_is_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    # Features of 300: a Gram matrix of theirs overflows float16.
    inputs = torch.randn(2, 6, 10) if name in LOGITS else 300 * torch.randn(2, 6, CHANNELS, 5, 5)
    inputs, loss = inputs.to(dtype), bound(name, **labels(6, 10))
    with torch.autocast("cpu", dtype=dtype):
        value = loss(*inputs)
    assert value.isfinite()
    assert value.item() == loss(*inputs.float()).item()


@pytest.mark.parametrize("name", FEATURES)
def test_dead_features_have_a_moderate_gradient(name: str) -> None:
    student = torch.zeros(4, CHANNELS, 5, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(bound(name, **labels(4, 10))(student, torch.randn(4, CHANNELS, 5, 5)), student)
    assert gradient.abs().max() < 10.0


@pytest.mark.parametrize("name", ALL)
def test_nothing_waits_for_the_device(name: str) -> None:
    shape = (6, 10) if name in LOGITS else (6, CHANNELS, 5, 5)
    with FakeTensorMode():
        # A fake tensor has no values: .item(), a branch on values or an indexing mask raises.
        student = torch.randn(shape, requires_grad=True)
        bound(name, **labels(6, 10))(student, torch.randn(shape)).backward()
