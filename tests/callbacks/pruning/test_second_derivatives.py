"""Second-order back-propagation against exact Hessians."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional as F

from kdlight.callbacks.pruning.second_derivatives import _SecondOrderMode, estimate_hessian_diagonal
from kdlight.models.zoo.mobilenet_v2 import MobileNetV2
from kdlight.models.zoo.resnet import resnet8
from kdlight.models.zoo.shufflenet_v1 import ShuffleV1
from kdlight.models.zoo.shufflenet_v2 import ShuffleV2
from kdlight.models.zoo.vgg import vgg8
from kdlight.models.zoo.wrn import wrn_16_1

FIRST_LAYER = 24  # of the oracle's 39 parameters


class Perceptron(nn.Module):
    """The oracle's network 5-4-3."""

    def __init__(self, theta):
        super().__init__()
        self.hidden, self.output = nn.Linear(5, 4), nn.Linear(4, 3)
        self.double()
        nn.utils.vector_to_parameters(torch.tensor(theta, dtype=torch.float64), self.parameters())

    def forward(self, x):
        return self.output(torch.tanh(self.hidden(x)))


@pytest.fixture(params=["obd_filled", "obd_trained"])
def case(oracle, request):
    random = np.random.RandomState(3000 + oracle.seed)
    images, target = torch.from_numpy(random.standard_normal((16, 5))), torch.from_numpy(random.randint(0, 3, 16))
    return oracle.cases[request.param], images, target


def flat(derivatives):
    return torch.cat([values.flatten() for values in derivatives.values()])


def test_oracle(case):
    stored, images, target = case
    model = Perceptron(stored["theta"])
    found = flat(estimate_hessian_diagonal(model, [(images[:10], target[:10]), (images[10:], target[10:])]))
    exact = torch.tensor(stored["hessian_diagonal"], dtype=torch.float64)
    torch.testing.assert_close(found[FIRST_LAYER:], exact[FIRST_LAYER:], rtol=0, atol=1e-6)
    hidden = spearmanr(found[:FIRST_LAYER], exact[:FIRST_LAYER]).statistic
    assert hidden >= (0.9 if stored["name"] == "obd_trained" else 0.7)


def test_saliencies_predict_the_change_of_the_loss(case):
    stored, images, target = case
    model = Perceptron(stored["theta"])
    derivatives = estimate_hessian_diagonal(model, [(images, target)])
    theta = torch.tensor(stored["theta"], dtype=torch.float64)
    saliency = 0.5 * torch.cat([values.flatten() for values in derivatives.values()]) * theta**2
    gradient = torch.tensor(stored["gradient"], dtype=torch.float64)

    def change(deleted):
        values = theta.clone()
        values[deleted] = 0
        return F.cross_entropy(Perceptron(values.tolist())(images), target).item() - stored["value"]

    real = torch.tensor([change(place) for place in range(39)], dtype=torch.float64)
    for place, expected in zip(stored["ten_lowest"], stored["loss_change_on_deleting_each"], strict=True):
        assert real[place].item() == pytest.approx(expected, abs=1e-12)
    predicted = saliency if stored["name"] == "obd_trained" else saliency - gradient * theta
    # Deletions that change little are in the reach of a second order.
    small = real.abs() < 0.05
    assert small.sum() >= 10
    assert (predicted - real)[small].abs().max() < 0.03
    if stored["name"] == "obd_trained":
        chosen = saliency.topk(10, largest=False).indices
        assert len(set(chosen.tolist()) & set(stored["ten_lowest"])) >= 8
        largest = saliency.topk(10).indices
        assert change(chosen) < 0.03 < 0.5 < change(largest)


def test_unlabelled_samples_are_left_out(case):
    stored, images, target = case
    model = Perceptron(stored["theta"])
    some = torch.where(torch.arange(16) < 6, -1, target)
    expected = flat(estimate_hessian_diagonal(model, [(images[6:], target[6:])]))
    torch.testing.assert_close(flat(estimate_hessian_diagonal(model, [(images, some)])), expected)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        nn.Conv2d(4, 2, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.AvgPool2d(2),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        nn.AdaptiveAvgPool2d(2),
        lambda x: F.max_pool2d(x, 2, ceil_mode=True),
        lambda x: x.mean((2, 3)),
        lambda x: F.pad(torch.cat([F.relu(x), x[:, :, [0, 3, 0, 1]]], 1), (0, 0, 0, 0, 1, 1)),
        lambda x: F.channel_shuffle(torch.cat(x.chunk(2, 1)[::-1], 1), 2).flatten(1),
        nn.Sequential(nn.Flatten(), nn.Linear(64, 5)),
    ],
)
def test_every_piecewise_linear_layer_squares_its_coefficients(layer):
    torch.manual_seed(0)
    parameters = {}
    if isinstance(layer, nn.Module):
        layer.double().eval()
        for tensor in layer.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 2)
        parameters = {name: parameter.detach() for name, parameter in layer.named_parameters()}
    x = torch.randn(3, 4, 4, 4, dtype=torch.float64, requires_grad=True)

    def run(x, *values):
        if not values:
            return layer(x)
        return torch.func.functional_call(layer, dict(zip(parameters, values, strict=True)), x)

    inputs = (x, *(value.requires_grad_() for value in parameters.values()))
    with _SecondOrderMode(iter(())):
        y = run(*inputs)
    carried = torch.rand_like(y)
    torch.testing.assert_close(y, run(*inputs))
    found = torch.autograd.grad(y, inputs, carried)
    for second, jacobian in zip(found, torch.autograd.functional.jacobian(run, inputs), strict=True):
        expected = (jacobian.flatten(y.ndim) ** 2 * carried[..., None]).flatten(0, y.ndim - 1).sum(0)
        torch.testing.assert_close(second.flatten(), expected)


@pytest.mark.parametrize("activation", [nn.Sigmoid(), nn.SiLU(inplace=True), nn.GELU(), nn.LeakyReLU(0.1)])
def test_a_chain_of_single_units_is_exact(activation):
    """No unit has two paths to the logits, so there is no cross term to neglect."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 1), activation, nn.Linear(1, 1), nn.Tanh(), nn.Linear(1, 2)).double()
    with torch.no_grad():
        model[-1].weight[1] = 0  # the second logit is constant
        model[-1].bias.zero_()
    images, target = torch.randn(5, 1, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 0])
    found = estimate_hessian_diagonal(model, [(images, target)])

    def loss(theta):
        values, start = {}, 0
        for name, parameter in model.named_parameters():
            values[name] = theta[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()
        return F.cross_entropy(torch.func.functional_call(model, values, images), target)

    theta = nn.utils.parameters_to_vector(model.parameters()).detach()
    exact = torch.autograd.functional.hessian(loss, theta).diagonal()
    torch.testing.assert_close(flat(found), exact)


@pytest.mark.parametrize("network", [resnet8, wrn_16_1, vgg8, MobileNetV2, ShuffleV1, ShuffleV2])
def test_networks_of_the_zoo(network):
    torch.manual_seed(0)
    model = network(4)
    model.train()
    head = [module for module in model.head.modules() if isinstance(module, nn.Linear)][-1]
    head.weight.requires_grad_(False)
    images, target = torch.randn(2, 3, 32, 32), torch.tensor([1, 3])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = estimate_hessian_diagonal(model, [(images, target)])
    assert list(found) == [name for name, _ in model.named_parameters()]
    assert all(values.isfinite().all() and values.min() >= 0 for values in found.values())
    assert all(module.training for module in model.modules())
    assert [parameter.requires_grad for parameter in head.parameters()] == [False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    model.eval()

    def loss(weight):
        return F.cross_entropy(F.linear(model.activations(images).embedding, weight, head.bias), target)

    hessian = torch.autograd.functional.hessian(loss, head.weight.detach()).flatten(2).flatten(0, 1)
    torch.testing.assert_close(list(found.values())[-2].flatten(), hessian.diagonal(), rtol=1e-3, atol=1e-6)


def test_what_has_no_rule_is_refused():
    class Gate(nn.Linear):
        def forward(self, x):
            return super().forward(x) * torch.sigmoid(x)

    with pytest.raises(ValueError, match="the network calls mul"):
        estimate_hessian_diagonal(Gate(3, 3), [(torch.randn(2, 3), torch.tensor([0, 1]))])
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(18, 2))
    with pytest.raises(ValueError, match="cannot be divided evenly"):
        estimate_hessian_diagonal(model, [(torch.randn(2, 1, 4, 4), torch.tensor([0, 1]))])
