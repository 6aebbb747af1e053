"""How the weights of a new network are drawn.

Batch norms start at weight 1 and bias 0, torch's default. Layers that neither this file nor a network's docstring
mentions are drawn by torch's own rule (convolutions and linear layers: uniform, Kaiming with a = sqrt(5)).
"""

from torch import nn


def draw_kaiming_convolutions(network: nn.Module) -> None:
    """Draw every convolution from He et al.'s normal distribution over the fan out; biases are 0.

    He, Zhang, Ren and Sun 2015, https://arxiv.org/abs/1502.01852, equation 14.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def draw_kaiming_uniform(network: nn.Module) -> None:
    """Draw convolutions and linear layers from He et al.'s uniform distribution over the fan out; biases are 0."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def draw_small_head(head: nn.Linear) -> None:
    """Draw a classifier head from a normal distribution with deviation 0.01; the bias is 0."""
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
