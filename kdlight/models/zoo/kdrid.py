"""The networks that the authors of RID (redundant information distillation) trained on CIFAR-10.

Dissanayake et al. 2024, "Quantifying Knowledge Distillation Using Partial Information Decomposition",
https://arxiv.org/abs/2411.07483. Their code (https://github.com/pasandissanayake/kd-rid, systems/wrncifar.py) calls the
networks WRN-40-2 and WRN-16-1, and they have the depths and widths that these names stand for. But they are not the
wide residual networks of Zagoruyko and Komodakis (`wrn.py`). They are `ResNet`s with (depth - 4) / 6 blocks per stage:
a block ends with a ReLU, and a shortcut that changes the shape has a batch norm. Use `wrn_40_2` and `wrn_16_1` to
follow the paper's text, and the networks in this file to follow the authors' code.

As in the authors' code, the weights of the convolutions and of the head are drawn from He et al.'s uniform distribution
with ``mode="fan_out"`` (`torch.nn.init.kaiming_uniform_`), and biases are 0. The submodule that is called `downsample`
here is called `shortcut` in the authors' code. The authors published no weights.
"""

__all__ = ["kdrid_wrn_16_1", "kdrid_wrn_40_2"]

from kdlight.arguments import record_arguments
from kdlight.models.classifier import CIFAR_SHAPE, ImageShape
from kdlight.models.zoo.initialisation import draw_kaiming_uniform
from kdlight.models.zoo.resnet import ResNet


@record_arguments
def kdrid_wrn_40_2(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> ResNet:
    """Build the RID authors' CIFAR-10 teacher: six blocks per stage, widths 32, 64, 128."""
    return _build_kdrid_network(6, (16, 32, 64, 128), num_classes, image_shape)


@record_arguments
def kdrid_wrn_16_1(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> ResNet:
    """Build the RID authors' CIFAR-10 student: two blocks per stage, widths 16, 32, 64."""
    return _build_kdrid_network(2, (16, 16, 32, 64), num_classes, image_shape)


def _build_kdrid_network(
    blocks: int, widths: tuple[int, int, int, int], num_classes: int, image_shape: ImageShape
) -> ResNet:
    network = ResNet(blocks, widths, num_classes, image_shape, "projection")
    draw_kaiming_uniform(network)
    return network
