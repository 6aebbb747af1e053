"""Draw the initial weights of a network.

Batch norms start at weight 1 and bias 0, torch's default. Other layers also keep torch's default, unless one of the
functions below draws their weights or the network's docstring says otherwise. For convolutions and linear layers, this
default is `kaiming_uniform_` with a = sqrt(5).
"""

import math

from torch import nn


def draw_kaiming_convolutions(network: nn.Module) -> None:
    """Draw the weights of every convolution from He's normal distribution with ``mode="fan_out"``; biases are 0.

    He, Zhang, Ren and Sun 2015, https://arxiv.org/abs/1502.01852, equation 14 (`torch.nn.init.kaiming_normal_`).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def draw_kaiming_uniform(network: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers from He's uniform distribution; biases are 0.

    This is `torch.nn.init.kaiming_uniform_` with ``mode="fan_out"``.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def draw_xavier_convolutions(network: nn.Module) -> None:
    """Draw the weights of every convolution from Glorot's uniform distribution with gain sqrt(2).

    Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", equation 16
    (`torch.nn.init.xavier_uniform_`). Biases are not changed.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight, gain=math.sqrt(2))


def draw_small_head(head: nn.Linear) -> None:
    """Draw the weights of a classifier head from a normal distribution with standard deviation 0.01; the bias is 0."""
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
