"""ResNets of basic blocks for small images.

He, Zhang, Ren and Sun 2016, "Deep Residual Learning for Image Recognition", https://arxiv.org/abs/1512.03385, section
4.2. The parameters have the names and shapes of https://github.com/HobbitLong/RepDistiller (models/resnet.py), so that
RepDistiller's weights can be loaded unchanged. The initialisation is RepDistiller's, too; for the head, this is torch's
default. In blocks that change the shape, the paper uses a shortcut without parameters ("padding", the paper's option
A). RepDistiller, and therefore most published results of distillation, use a 1x1 convolution ("projection", option B).
"""

__all__ = [
    "ResNet",
    "resnet8",
    "resnet8x4",
    "resnet14",
    "resnet20",
    "resnet32",
    "resnet32x4",
    "resnet44",
    "resnet56",
    "resnet110",
]

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlight.arguments import record_arguments
from kdlight.models.activations import Activations
from kdlight.models.classifier import CIFAR_SHAPE, Classifier, ImageShape
from kdlight.models.zoo.initialisation import draw_kaiming_convolutions
from kdlight.models.zoo.stage import Stage

Shortcut = Literal["projection", "padding"]


class PaddingShortcut(nn.Module):
    """He et al.'s option A: takes every stride-th pixel, and adds channels of zeros at both ends."""

    def __init__(self, added_channels: int, stride: int) -> None:
        super().__init__()
        self.before = added_channels // 2
        self.after = added_channels - self.before
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, one after the other, plus a shortcut. `Stage` applies the ReLU after the sum."""

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = (
                nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
                if shortcut == "projection"
                else PaddingShortcut(channels - in_channels, stride)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return torch.add(out, x if self.downsample is None else self.downsample(x))


class ResNet(Classifier):
    """A network of a 3x3 convolution (the stem) and three stages of basic blocks, for small images.

    The second and the third stage each halve height and width.

    Args:
        blocks: The number of blocks in each stage.
        widths: The numbers of channels of the stem and of the three stages.
        num_classes: The number of classes.
        image_shape: (channels, height, width).
        shortcut: The shortcut of blocks that change the shape: a 1x1 convolution with batch norm ("projection"), or the
            input with zeros for the new channels ("padding").
    """

    head_name = "fc"
    stage_names = ("layer1", "layer2", "layer3")

    def __init__(
        self,
        blocks: int,
        widths: tuple[int, int, int, int],
        num_classes: int,
        image_shape: ImageShape,
        shortcut: Shortcut,
    ) -> None:
        super().__init__(num_classes, image_shape)

        def make_stage(in_channels: int, channels: int, stride: int) -> Stage:
            first = BasicBlock(in_channels, channels, stride, shortcut)
            return Stage(first, *(BasicBlock(channels, channels, 1, shortcut) for _ in range(blocks - 1)))

        self.conv1 = nn.Conv2d(image_shape[0], widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = make_stage(widths[0], widths[1], stride=1)
        self.layer2 = make_stage(widths[1], widths[2], stride=2)
        self.layer3 = make_stage(widths[2], widths[3], stride=2)
        self.fc = nn.Linear(widths[3], num_classes)
        draw_kaiming_convolutions(self)

    def activations(self, images: Tensor) -> Activations:
        stem = F.relu(self.bn1(self.conv1(images)))
        stage1, preactivation1 = self.layer1(stem)
        stage2, preactivation2 = self.layer2(stage1)
        stage3, preactivation3 = self.layer3(stage2)
        embedding = stage3.mean(dim=(2, 3))
        return Activations(
            logits=self.fc(embedding),
            embedding=embedding,
            stages=(stage1, stage2, stage3),
            preactivations=(preactivation1, preactivation2, preactivation3),
            stem=stem,
        )

    def get_norms_before_relu(self) -> tuple[nn.BatchNorm2d, ...]:
        return tuple(cast(BasicBlock, stage[-1]).bn2 for stage in (self.layer1, self.layer2, self.layer3))


@record_arguments
def resnet8(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE, *, shortcut: Shortcut = "projection") -> ResNet:
    """Build a ResNet-8 whose stages have 16, 32 and 64 channels."""
    return ResNet(1, (16, 16, 32, 64), num_classes, image_shape, shortcut)


@record_arguments
def resnet14(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE, *, shortcut: Shortcut = "projection") -> ResNet:
    """Build a ResNet-14 whose stages have 16, 32 and 64 channels."""
    return ResNet(2, (16, 16, 32, 64), num_classes, image_shape, shortcut)


@record_arguments
def resnet20(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE, *, shortcut: Shortcut = "projection") -> ResNet:
    """Build a ResNet-20 whose stages have 16, 32 and 64 channels."""
    return ResNet(3, (16, 16, 32, 64), num_classes, image_shape, shortcut)


@record_arguments
def resnet32(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE, *, shortcut: Shortcut = "projection") -> ResNet:
    """Build a ResNet-32 whose stages have 16, 32 and 64 channels."""
    return ResNet(5, (16, 16, 32, 64), num_classes, image_shape, shortcut)


@record_arguments
def resnet44(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE, *, shortcut: Shortcut = "projection") -> ResNet:
    """Build a ResNet-44 whose stages have 16, 32 and 64 channels."""
    return ResNet(7, (16, 16, 32, 64), num_classes, image_shape, shortcut)


@record_arguments
def resnet56(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE, *, shortcut: Shortcut = "projection") -> ResNet:
    """Build a ResNet-56 whose stages have 16, 32 and 64 channels."""
    return ResNet(9, (16, 16, 32, 64), num_classes, image_shape, shortcut)


@record_arguments
def resnet110(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE, *, shortcut: Shortcut = "projection") -> ResNet:
    """Build a ResNet-110 whose stages have 16, 32 and 64 channels."""
    return ResNet(18, (16, 16, 32, 64), num_classes, image_shape, shortcut)


@record_arguments
def resnet8x4(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE, *, shortcut: Shortcut = "projection") -> ResNet:
    """Build a ResNet-8 whose stages have 64, 128 and 256 channels, four times as many as in `resnet8`."""
    return ResNet(1, (32, 64, 128, 256), num_classes, image_shape, shortcut)


@record_arguments
def resnet32x4(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE, *, shortcut: Shortcut = "projection") -> ResNet:
    """Build a ResNet-32 whose stages have 64, 128 and 256 channels, four times as many as in `resnet32`."""
    return ResNet(5, (32, 64, 128, 256), num_classes, image_shape, shortcut)
