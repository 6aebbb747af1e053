"""ShuffleNet V2 for small images.

Ma, Zhang, Zheng and Sun 2018, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
https://arxiv.org/abs/1807.11164, table 5 (width 1). Two changes keep the image's size: the stem is a 1x1 convolution,
and there is no max pooling. The modules' names, their parameters and their initialisation (the default of torch) are
those of https://github.com/HobbitLong/RepDistiller (models/ShuffleNetv2.py).
"""

__all__ = ["ShuffleV2"]

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlight.models.activations import Activations
from kdlight.models.classifier import CIFAR_SHAPE, Classifier, ImageShape


class SplitUnit(nn.Module):
    """The unit of the paper's figure 3c, in which half of the channels pass unchanged.

    The last ReLU and the channel shuffle are left to `SplitStage`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        passed, filtered = x.chunk(2, dim=1)
        filtered = F.relu(self.bn1(self.conv1(filtered)))
        filtered = self.bn3(self.conv3(self.bn2(self.conv2(filtered))))
        return torch.cat([passed, filtered], dim=1)


class DownUnit(nn.Module):
    """The unit of the paper's figure 3d, in which both branches halve the image.

    The last ReLU and the channel shuffle are left to `SplitStage`.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, stride=2, padding=1, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = nn.Conv2d(half, half, 3, stride=2, padding=1, groups=half, bias=False)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        left = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        right = F.relu(self.bn3(self.conv3(x)))
        right = self.bn5(self.conv5(self.bn4(self.conv4(right))))
        return torch.cat([left, right], dim=1)


class SplitStage(nn.Sequential):
    """A sequence of units, each followed by ReLU and channel shuffle.

    The ReLU does not change the channels that a `SplitUnit` passes unchanged, because an earlier ReLU has already made
    them non-negative.
    """

    def __init__(self, in_channels: int, channels: int, units: int) -> None:
        super().__init__(DownUnit(in_channels, channels), *(SplitUnit(channels) for _ in range(units - 1)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stage's feature map, and the map before the last ReLU and shuffle."""
        preactivation = x
        for unit in self:
            preactivation = unit(x)
            x = F.channel_shuffle(F.relu(preactivation), 2)
        return x, preactivation


class ShuffleV2(Classifier):
    """ShuffleNet V2 with three stages of 4, 8 and 4 units and 116, 232 and 464 channels.

    Each stage halves the image. The channels of a preactivation are in the order before the shuffle, as in
    RepDistiller.

    Args:
        num_classes: Number of classes.
        image_shape: (channels, height, width).
    """

    head_name = "linear"
    stage_names = ("layer1", "layer2", "layer3")

    def __init__(self, num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> None:
        super().__init__(num_classes, image_shape)
        self.conv1 = nn.Conv2d(image_shape[0], 24, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.layer1 = SplitStage(24, 116, units=4)
        self.layer2 = SplitStage(116, 232, units=8)
        self.layer3 = SplitStage(232, 464, units=4)
        self.conv2 = nn.Conv2d(464, 1024, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1024)
        self.linear = nn.Linear(1024, num_classes)

    def activations(self, images: Tensor) -> Activations:
        stem = F.relu(self.bn1(self.conv1(images)))
        stage1, preactivation1 = self.layer1(stem)
        stage2, preactivation2 = self.layer2(stage1)
        stage3, preactivation3 = self.layer3(stage2)
        embedding = F.relu(self.bn2(self.conv2(stage3))).mean(dim=(2, 3))
        return Activations(
            logits=self.linear(embedding),
            embedding=embedding,
            stages=(stage1, stage2, stage3),
            preactivations=(preactivation1, preactivation2, preactivation3),
            stem=stem,
        )
