"""Second-order back-propagation of the Hessian's diagonal: LeCun, Denker, Solla, "Optimal Brain Damage", NIPS 1989.

Below, h(v) is the second derivative of the mean cross-entropy L with respect to a value v. Like a gradient, it is
propagated backwards. For a linear layer a = w x + b,

    h(w) = sum over samples and positions of h(a) x^2,    h(x) = sum over outputs of w^2 h(a),

and for y = f(a), ``h(a) = f'(a)^2 h(y) + f''(a) dL/dy``. The second term is often dropped. It is kept here, because
without it the results for hidden layers are less accurate. At the logits, ``h = p (1 - p) / n`` is exact, where p are
the predicted probabilities and n is the number of samples. So the results for the output layer are exact, too.

The results for the other layers are approximations. When two values depend on a common value, the mixed derivative with
respect to the two (the cross term) is dropped. Examples of such pairs are the outputs of a shortcut and of its block;
the outputs of a convolution at two positions, which depend on the same weight; and two units of a layer, which depend
on the same inputs. A batch norm is treated as the fixed linear map that it is in evaluation mode. During training,
however, its statistics depend on the weights of earlier layers.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from kdlight.errors import UserError
from kdlight.models.evaluating import evaluating

# Functions that return elements of their inputs, sums of such elements, or constants. Their derivatives are 0 or 1.
# Squaring does not change these two numbers, so the ordinary backward pass of such a function also propagates h.
SELECTING = {
    *("relu", "relu_", "relu6", "max_pool2d", "dropout"),
    *("add", "add_", "__add__", "__radd__", "__iadd__"),
    *("cat", "stack", "pad", "chunk", "split", "__getitem__", "channel_shuffle", "native_channel_shuffle"),
    *("flatten", "view", "reshape", "permute", "transpose", "contiguous", "squeeze", "unsqueeze"),
}
ELEMENTWISE = {"tanh", "sigmoid", "silu", "gelu", "elu", "softplus", "leaky_relu", "hardswish", "mish"}


def estimate_hessian_diagonal(model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Approximate the second derivative of the mean cross-entropy with respect to each parameter.

    Args:
        model: A classifier. It is run in evaluation mode; afterwards it is in the same mode as before.
        batches: Images (batch, …) and target (batch,); unlabelled samples have target -1 and are left out.

    Returns:
        For each parameter, by its name, a tensor of the parameter's shape with the second derivatives.

    Raises:
        UserError: If the model calls a function for which no rule of second-order back-propagation is known.
    """
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    parameters = dict(model.named_parameters())
    totals = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    count = sum(int((target >= 0).sum()) for _, target in batches)
    model.requires_grad_(True)
    try:
        with evaluating(model), torch.enable_grad():
            for images, target in batches:
                derivatives = _estimate_batch(model, images, target, count)
                for total, derivative in zip(totals.values(), derivatives, strict=True):
                    total += derivative
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
    return totals


def _estimate_batch(model: nn.Module, images: Tensor, target: Tensor, count: int) -> tuple[Tensor, ...]:
    """Return what a batch contributes to the second derivatives: one tensor for each parameter."""
    activated: list[Tensor] = []
    with _ActivationRecorder(activated):
        logits = model(images)
    loss = F.cross_entropy(logits, target, ignore_index=-1, reduction="sum") / count
    gradients = torch.autograd.grad(loss, activated) if activated else ()
    with _SecondOrderMode(iter(gradients)):
        logits = model(images)
    probabilities = logits.detach().softmax(1)
    curvature = probabilities * (1 - probabilities) * (target >= 0)[:, None] / count
    return torch.autograd.grad(logits, list(model.parameters()), curvature, materialize_grads=True)


class _ActivationRecorder(TorchFunctionMode):
    """Collects the outputs y of element-wise functions, because h of their inputs depends on dL/dy."""

    def __init__(self, activated: list[Tensor]) -> None:
        super().__init__()
        self.activated = activated

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        value = func(*args, **(kwargs or {}))
        if func.__name__ in ELEMENTWISE and value.requires_grad:
            self.activated.append(value)
        return value


class _SecondOrderMode(TorchFunctionMode):
    """Makes the backward pass compute h instead of gradients, and does not change the values of the forward pass."""

    def __init__(self, gradients: Iterator[Tensor]) -> None:
        super().__init__()
        self.gradients = gradients

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, name = kwargs or {}, func.__name__
        if name in ELEMENTWISE and args[0].requires_grad:
            return self._apply(func, *args, **{key: given for key, given in kwargs.items() if key != "inplace"})
        value = func(*args, **kwargs)
        if name in SQUARED:
            return _replace_gradient(value, SQUARED[name](*args, **kwargs))
        outputs = value if isinstance(value, tuple | list) else (value,)
        if name not in SELECTING and any(isinstance(output, Tensor) and output.requires_grad for output in outputs):
            raise UserError(
                f"second derivatives are known for {', '.join(sorted(SQUARED))}, activations, sums, and functions that "
                f"select or rearrange values, but the network calls {name}; prune another network"
            )
        return value

    def _apply(self, func: Callable[..., Tensor], a: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return y = f(a), whose backward pass computes ``h(a) = f'(a)^2 h(y) + f''(a) dL/dy``."""
        point = a.detach().requires_grad_()
        value = func(point, *args, **kwargs)
        (slope,) = torch.autograd.grad(value.sum(), point, create_graph=True)
        bend = torch.autograd.grad(slope.sum(), point)[0] if slope.requires_grad else torch.zeros_like(point)
        tapped, added = a.view_as(a), bend * next(self.gradients)
        tapped.register_hook(lambda carried: carried + added)
        return _replace_gradient(value, slope.detach() ** 2 * tapped)


def _replace_gradient(value: Tensor, gradient_of: Tensor) -> Tensor:
    """Return a tensor that has the value of the first argument and passes its gradient on to the second."""
    return value.detach() + (gradient_of - gradient_of.detach())


def _square(x: Tensor) -> Tensor:
    """Return x^2, but with the derivative 1 with respect to x instead of 2x.

    If the inputs and the weights of a bilinear function, such as `linear`, are replaced by such squares, its backward
    pass propagates h to the inputs and to the weights.
    """
    return _replace_gradient(x**2, x)


def _square_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(_square(x), _square(weight), bias)


def _square_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
    return F.conv2d(_square(x), _square(weight), bias, *args, **kwargs)


def _square_batch_norm(
    x: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if training or mean is None or variance is None:
        raise UserError(
            "second derivatives: expected running statistics in every batch norm; set track_running_stats=True"
        )
    shape = (1, -1, *[1] * (x.ndim - 2))
    scale = (variance + eps).rsqrt().view(shape)
    normalised = _replace_gradient(((x - mean.view(shape)) * scale) ** 2, x * scale**2)
    if weight is not None:
        normalised = normalised * _square(weight).view(shape)
    return normalised if bias is None else normalised + bias.view(shape)


def _square_mean(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    mean = x.mean(*args, **kwargs)
    return mean * (mean.numel() / x.numel())


def _square_adaptive_avg_pool2d(x: Tensor, output_size: Any) -> Tensor:
    pooled = F.adaptive_avg_pool2d(x, output_size)
    if any(size % fewer for size, fewer in zip(x.shape[2:], pooled.shape[2:], strict=True)):
        raise UserError(
            f"second derivatives: expected adaptive pooling with windows of equal size, but {tuple(x.shape[2:])} "
            f"pixels cannot be divided evenly into {tuple(pooled.shape[2:])} windows; choose another image size"
        )
    return pooled * (pooled.numel() / x.numel())


def _square_avg_pool2d(
    x: Tensor,
    kernel_size: int | tuple[int, int],
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    if ceil_mode or not count_include_pad or divisor_override:
        raise UserError(
            "second derivatives: expected average pooling that divides the sum of each window by the window's size; "
            "leave out ceil_mode, count_include_pad and divisor_override"
        )
    window = kernel_size**2 if isinstance(kernel_size, int) else math.prod(kernel_size)
    return F.avg_pool2d(x, kernel_size, stride, padding) / window


SQUARED: dict[str, Callable[..., Tensor]] = {
    "linear": _square_linear,
    "conv2d": _square_conv2d,
    "batch_norm": _square_batch_norm,
    "mean": _square_mean,
    "adaptive_avg_pool2d": _square_adaptive_avg_pool2d,
    "avg_pool2d": _square_avg_pool2d,
}
