"""ResNet-18 and ResNet-50 for small images, as wide as the original networks for ImageNet.

The original networks are those of He, Zhang, Ren and Sun 2016, "Deep Residual Learning for Image Recognition",
https://arxiv.org/abs/1512.03385, table 1. Here, the stem is one 3x3 convolution, which keeps the image's size. Module
names, parameters and initialisation are those of https://github.com/HobbitLong/RepDistiller (models/resnetv2.py). In a
bottleneck, the 3x3 convolution has the stride.
"""

__all__ = ["ResNet18", "ResNet50"]

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlight.models.activations import Activations
from kdlight.models.classifier import CIFAR_SHAPE, Classifier, ImageShape
from kdlight.models.zoo.initialisation import draw_kaiming_convolutions
from kdlight.models.zoo.stage import Stage


class BasicUnit(nn.Module):
    """Two 3x3 convolutions with a shortcut around them. It returns the sum; `Stage` applies the ReLU."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = _build_shortcut(in_channels, channels, stride)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm after the last 3x3 convolution."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return torch.add(self.bn2(self.conv2(out)), self.shortcut(x))


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution, with a shortcut around them. It returns the sum; `Stage` applies the ReLU.

    The last convolution has four times as many channels as the others.
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        wide = self.expansion * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        self.shortcut = _build_shortcut(in_channels, wide, stride)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm after the last 1x1 convolution."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return torch.add(self.bn3(self.conv3(out)), self.shortcut(x))


def _build_shortcut(in_channels: int, channels: int, stride: int) -> nn.Module:
    """Build a 1x1 convolution with batch norm where the shape changes; otherwise the input passes unchanged."""
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))


class FourStageResNet(Classifier):
    """A 3x3 stem and four stages. Each stage but the first halves the image.

    The stages have 64, 128, 256 and 512 channels, each number multiplied by the block's `expansion`.
    """

    head_name = "linear"
    stage_names = ("layer1", "layer2", "layer3", "layer4")

    def __init__(
        self,
        block: type[BasicUnit] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        num_classes: int,
        image_shape: ImageShape,
    ) -> None:
        super().__init__(num_classes, image_shape)

        def make_stage(in_channels: int, channels: int, count: int, stride: int) -> Stage:
            wide = block.expansion * channels
            return Stage(block(in_channels, channels, stride), *(block(wide, channels, 1) for _ in range(count - 1)))

        self.conv1 = nn.Conv2d(image_shape[0], 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = make_stage(64, 64, blocks[0], stride=1)
        self.layer2 = make_stage(64 * block.expansion, 128, blocks[1], stride=2)
        self.layer3 = make_stage(128 * block.expansion, 256, blocks[2], stride=2)
        self.layer4 = make_stage(256 * block.expansion, 512, blocks[3], stride=2)
        self.linear = nn.Linear(512 * block.expansion, num_classes)
        draw_kaiming_convolutions(self)

    def activations(self, images: Tensor) -> Activations:
        stem = F.relu(self.bn1(self.conv1(images)))
        stage1, preactivation1 = self.layer1(stem)
        stage2, preactivation2 = self.layer2(stage1)
        stage3, preactivation3 = self.layer3(stage2)
        stage4, preactivation4 = self.layer4(stage3)
        embedding = stage4.mean(dim=(2, 3))
        return Activations(
            logits=self.linear(embedding),
            embedding=embedding,
            stages=(stage1, stage2, stage3, stage4),
            preactivations=(preactivation1, preactivation2, preactivation3, preactivation4),
            stem=stem,
        )

    def get_norms_before_relu(self) -> tuple[nn.BatchNorm2d, ...]:
        stages = (self.layer1, self.layer2, self.layer3, self.layer4)
        return tuple(cast(BasicUnit | Bottleneck, stage[-1]).last_norm for stage in stages)


class ResNet18(FourStageResNet):
    """Four stages of 2 basic blocks each, with widths 64, 128, 256, 512. Each stage but the first halves the image.

    Args:
        num_classes: Number of classes.
        image_shape: (channels, height, width).
    """

    def __init__(self, num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> None:
        super().__init__(BasicUnit, (2, 2, 2, 2), num_classes, image_shape)


class ResNet50(FourStageResNet):
    """Four stages of 3, 4, 6 and 3 bottlenecks, with widths 256, 512, 1024, 2048.

    Each stage but the first halves the image.

    Args:
        num_classes: Number of classes.
        image_shape: (channels, height, width).
    """

    def __init__(self, num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> None:
        super().__init__(Bottleneck, (3, 4, 6, 3), num_classes, image_shape)
