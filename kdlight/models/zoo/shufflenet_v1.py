"""ShuffleNet for small images, with 1x1 convolutions in three groups.

Zhang, Zhou, Lin and Sun 2018, "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
https://arxiv.org/abs/1707.01083, table 1 (3 groups). Unlike in the paper, the stem is a 1x1 convolution that keeps the
image's size, there is no max pooling, and a ReLU follows the depthwise convolution. Names, parameters and
initialisation (torch's default) are those of https://github.com/HobbitLong/RepDistiller (models/ShuffleNetv1.py).
"""

__all__ = ["ShuffleV1"]

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlight.models.activations import Activations
from kdlight.models.classifier import CIFAR_SHAPE, Classifier, ImageShape
from kdlight.models.zoo.stage import Stage

GROUPS = 3


class GroupUnit(nn.Module):
    """The unit of the paper's figure 2b or, with stride 2, figure 2c. It returns the value before the last ReLU."""

    def __init__(self, in_channels: int, channels: int, stride: int, first_groups: int = GROUPS) -> None:
        super().__init__()
        added = channels - in_channels if stride == 2 else channels
        narrow = added // 4
        self.stride = stride
        self.first_groups = first_groups
        self.conv1 = nn.Conv2d(in_channels, narrow, 1, groups=first_groups, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, padding=1, groups=narrow, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, added, 1, groups=GROUPS, bias=False)
        self.bn3 = nn.BatchNorm2d(added)

    def forward(self, x: Tensor) -> Tensor:
        out = F.channel_shuffle(F.relu(self.bn1(self.conv1(x))), self.first_groups)
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.stride == 2:
            return torch.cat([out, F.avg_pool2d(x, 3, stride=2, padding=1)], dim=1)
        return torch.add(x, out)


class ShuffleV1(Classifier):
    """Three stages of 4, 8 and 4 units with 240, 480 and 960 channels. Each stage halves the image's sides.

    Args:
        num_classes: Number of classes.
        image_shape: (channels, height, width).
    """

    head_name = "linear"
    stage_names = ("layer1", "layer2", "layer3")

    def __init__(self, num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> None:
        super().__init__(num_classes, image_shape)

        def make_stage(first: GroupUnit, channels: int, units: int) -> Stage:
            return Stage(first, *(GroupUnit(channels, channels, stride=1) for _ in range(units - 1)))

        self.conv1 = nn.Conv2d(image_shape[0], 24, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        # As in the paper, the first convolution of the first unit is not grouped, because it has few input channels.
        self.layer1 = make_stage(GroupUnit(24, 240, stride=2, first_groups=1), 240, units=4)
        self.layer2 = make_stage(GroupUnit(240, 480, stride=2), 480, units=8)
        self.layer3 = make_stage(GroupUnit(480, 960, stride=2), 960, units=4)
        self.linear = nn.Linear(960, num_classes)

    def activations(self, images: Tensor) -> Activations:
        stem = F.relu(self.bn1(self.conv1(images)))
        stage1, preactivation1 = self.layer1(stem)
        stage2, preactivation2 = self.layer2(stage1)
        stage3, preactivation3 = self.layer3(stage2)
        embedding = stage3.mean(dim=(2, 3))
        return Activations(
            logits=self.linear(embedding),
            embedding=embedding,
            stages=(stage1, stage2, stage3),
            preactivations=(preactivation1, preactivation2, preactivation3),
            stem=stem,
        )
