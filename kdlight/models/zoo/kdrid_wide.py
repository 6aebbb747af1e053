"""The networks that the authors of RID (redundant information distillation) trained on CIFAR-100.

Dissanayake et al. 2024, "Quantifying Knowledge Distillation Using Partial Information Decomposition",
https://arxiv.org/abs/2411.07483. The networks and the names of their submodules follow the authors' code
(https://github.com/pasandissanayake/kd-rid, systems/wrncifar100A2810Mod.py). Depths and widths are those of WRN-28-10
and WRN-16-8. Unlike `wrn_28_10` and `wrn_16_8`, the networks have dropout of 0.3 between a block's convolutions, the
stride in the second convolution, biases in all convolutions, a shortcut that takes the block's input before its batch
norm and ReLU, and a momentum of 0.9 in the last batch norm. The authors published no weights.
"""

__all__ = ["kdrid_wrn_16_8", "kdrid_wrn_28_10"]

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlight.arguments import record_arguments
from kdlight.models.activations import Activations
from kdlight.models.classifier import CIFAR_SHAPE, Classifier, ImageShape
from kdlight.models.zoo.initialisation import draw_kaiming_uniform, draw_xavier_convolutions

DROPOUT = 0.3


class WideBlock(nn.Module):
    """Two 3x3 convolutions, each after a batch norm and a ReLU, plus a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.dropout = nn.Dropout(DROPOUT)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != channels:
            self.shortcut.append(nn.Conv2d(in_channels, channels, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        out = self.dropout(self.conv1(F.relu(self.bn1(x))))
        out = self.conv2(F.relu(self.bn2(out)))
        return torch.add(out, self.shortcut(x))


class WideDropoutResNet(Classifier):
    """A 3x3 stem and three stages of `WideBlock`. The second and the third stage each halve height and width.

    A batch norm and a ReLU follow each stage, but do not belong to it. `Activations.preactivations` is None.

    Args:
        depth: Number of layers, 4 plus a multiple of 6.
        width: The three stages have 16, 32 and 64 times this number of channels.
        num_classes: Number of classes.
        image_shape: (channels, height, width).
    """

    head_name = "linear"
    stage_names = ("layer1", "layer2", "layer3")

    def __init__(self, depth: int, width: int, num_classes: int, image_shape: ImageShape) -> None:
        super().__init__(num_classes, image_shape)

        def make_stage(in_channels: int, channels: int, stride: int) -> nn.Sequential:
            blocks = (WideBlock(channels, channels, 1) for _ in range((depth - 4) // 6 - 1))
            return nn.Sequential(WideBlock(in_channels, channels, stride), *blocks)

        self.conv1 = nn.Conv2d(image_shape[0], 16, 3, padding=1)
        self.layer1 = make_stage(16, 16 * width, stride=1)
        self.layer2 = make_stage(16 * width, 32 * width, stride=2)
        self.layer3 = make_stage(32 * width, 64 * width, stride=2)
        self.bn1 = nn.BatchNorm2d(64 * width, momentum=0.9)
        self.linear = nn.Linear(64 * width, num_classes)

    def activations(self, images: Tensor) -> Activations:
        stem = self.conv1(images)
        stage1 = self.layer1(stem)
        stage2 = self.layer2(stage1)
        stage3 = self.layer3(stage2)
        embedding = F.relu(self.bn1(stage3)).mean(dim=(2, 3))
        return Activations(
            logits=self.linear(embedding), embedding=embedding, stages=(stage1, stage2, stage3), stem=stem
        )


@record_arguments
def kdrid_wrn_28_10(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> WideDropoutResNet:
    """Build the RID authors' CIFAR-100 teacher: four blocks per stage, widths 160, 320, 640."""
    network = WideDropoutResNet(28, 10, num_classes, image_shape)
    draw_xavier_convolutions(network)
    return network


@record_arguments
def kdrid_wrn_16_8(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> WideDropoutResNet:
    """Build the RID authors' CIFAR-100 student: two blocks per stage, widths 128, 256, 512.

    Weights are drawn as in `kdrid_wrn_16_1`.
    """
    network = WideDropoutResNet(16, 8, num_classes, image_shape)
    draw_kaiming_uniform(network)
    return network
