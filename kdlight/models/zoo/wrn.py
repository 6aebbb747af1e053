"""Wide residual networks.

Zagoruyko and Komodakis 2016, "Wide Residual Networks", https://arxiv.org/abs/1605.07146, table 1, without dropout.
Names, parameters and initialisation (the head's bias starts at 0) are those of RepDistiller,
https://github.com/HobbitLong/RepDistiller (models/wrn.py).

Every stage is followed by a batch norm and a ReLU. The stage's preactivation is the map between these two layers. After
the last stage, the two layers belong to the network itself (`bn1`). After any other stage, they are the first layers of
the next stage, because a block begins with a batch norm and a ReLU. Therefore a stage returns, beside its output, the
preactivation of the stage before it.
"""

__all__ = ["WideResNet", "wrn_16_1", "wrn_16_2", "wrn_16_8", "wrn_28_10", "wrn_40_1", "wrn_40_2"]

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from kdlight.arguments import record_arguments
from kdlight.models.activations import Activations
from kdlight.models.classifier import CIFAR_SHAPE, Classifier, ImageShape
from kdlight.models.zoo.initialisation import draw_kaiming_convolutions


class PreActivationBlock(nn.Module):
    """Batch norm, ReLU, 3x3 convolution, then the same three layers again, with a shortcut.

    The shortcut goes around all six layers if the block keeps the number of channels. Otherwise it is a 1x1 convolution
    that begins after the first ReLU.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.convShortcut: nn.Module | None = None
        if in_channels != channels:
            self.convShortcut = nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the block's output, and the block's input after the block's first batch norm."""
        normalised = self.bn1(x)
        active = F.relu(normalised)
        out = self.conv2(F.relu(self.bn2(self.conv1(active))))
        shortcut = x if self.convShortcut is None else self.convShortcut(active)
        return shortcut + out, normalised


class PreActivationStage(nn.Module):
    """A stage, which consists of blocks in a row."""

    def __init__(self, blocks: int, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        first = PreActivationBlock(in_channels, channels, stride)
        self.layer = nn.Sequential(first, *(PreActivationBlock(channels, channels, 1) for _ in range(blocks - 1)))

    @property
    def first_norm(self) -> nn.BatchNorm2d:
        return cast(PreActivationBlock, self.layer[0]).bn1

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stage's output, and the stage's input after the stage's first batch norm."""
        first, *others = self.layer
        x, normalised = first(x)
        for block in others:
            x, _ = block(x)
        return x, normalised


class WideResNet(Classifier):
    """A 3x3 stem and three stages. The second and the third stage each halve the height and width of the maps.

    Args:
        depth: Number of layers, 4 plus a multiple of 6.
        width: The three stages have 16, 32 and 64 times this number of channels.
        num_classes: Number of classes.
        image_shape: (channels, height, width).
    """

    head_name = "fc"
    stage_names = ("block1", "block2", "block3")

    def __init__(self, depth: int, width: int, num_classes: int, image_shape: ImageShape) -> None:
        super().__init__(num_classes, image_shape)
        blocks = (depth - 4) // 6
        self.conv1 = nn.Conv2d(image_shape[0], 16, 3, padding=1, bias=False)
        self.block1 = PreActivationStage(blocks, 16, 16 * width, stride=1)
        self.block2 = PreActivationStage(blocks, 16 * width, 32 * width, stride=2)
        self.block3 = PreActivationStage(blocks, 32 * width, 64 * width, stride=2)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.fc = nn.Linear(64 * width, num_classes)
        draw_kaiming_convolutions(self)
        nn.init.zeros_(self.fc.bias)

    def activations(self, images: Tensor) -> Activations:
        stem = self.conv1(images)
        stage1, _ = self.block1(stem)
        stage2, preactivation1 = self.block2(stage1)
        stage3, preactivation2 = self.block3(stage2)
        preactivation3 = self.bn1(stage3)
        embedding = F.relu(preactivation3).mean(dim=(2, 3))
        return Activations(
            logits=self.fc(embedding),
            embedding=embedding,
            stages=(stage1, stage2, stage3),
            preactivations=(preactivation1, preactivation2, preactivation3),
            stem=stem,
        )

    def get_norms_before_relu(self) -> tuple[nn.BatchNorm2d, ...]:
        return self.block2.first_norm, self.block3.first_norm, self.bn1


@record_arguments
def wrn_16_1(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> WideResNet:
    """WRN-16-1, widths 16, 32, 64."""
    return WideResNet(16, 1, num_classes, image_shape)


@record_arguments
def wrn_16_2(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> WideResNet:
    """WRN-16-2, widths 32, 64, 128."""
    return WideResNet(16, 2, num_classes, image_shape)


@record_arguments
def wrn_16_8(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> WideResNet:
    """WRN-16-8, widths 128, 256, 512."""
    return WideResNet(16, 8, num_classes, image_shape)


@record_arguments
def wrn_28_10(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> WideResNet:
    """WRN-28-10, widths 160, 320, 640."""
    return WideResNet(28, 10, num_classes, image_shape)


@record_arguments
def wrn_40_1(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> WideResNet:
    """WRN-40-1, widths 16, 32, 64."""
    return WideResNet(40, 1, num_classes, image_shape)


@record_arguments
def wrn_40_2(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> WideResNet:
    """WRN-40-2, widths 32, 64, 128."""
    return WideResNet(40, 2, num_classes, image_shape)
