"""MobileNetV2 at half width for small images.

Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", https://arxiv.org/abs/1801.04381, table
2, with width 0.5, expansion 6, ReLU instead of ReLU6, no dropout, and stride 1 in the second group of blocks. Names,
parameters and initialisation are those of https://github.com/HobbitLong/RepDistiller (models/mobilenetv2.py,
`mobile_half`). No block ends with a ReLU (the linear bottleneck), so no map lies before such a ReLU, and
`Activations.preactivations` is None.
"""

__all__ = ["MobileNetV2"]

from torch import Tensor, nn

from kdlight.models.activations import Activations
from kdlight.models.classifier import CIFAR_SHAPE, Classifier, ImageShape
from kdlight.models.zoo.initialisation import draw_kaiming_convolutions, draw_small_head


class InvertedResidual(nn.Module):
    """A 1x1 convolution to `expansion` times the channels, a 3x3 convolution of each channel, and a 1x1 convolution.

    If input and output have the same shape, there is a shortcut.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * in_channels
        self.shortcut = stride == 1 and in_channels == channels
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, stride, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.shortcut else out


class MobileNetV2(Classifier):
    """MobileNetV2 with a stem and seven groups of blocks, counted from 0.

    The stem and the groups 2, 3 and 5 halve the image. The stages end with the groups 1, 2, 4 and 6.

    Args:
        num_classes: Number of classes.
        image_shape: (channels, height, width).
    """

    head_name = "classifier"
    stage_names = ("blocks.1", "blocks.2", "blocks.4", "blocks.6")
    linear_stages = True

    def __init__(self, num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> None:
        super().__init__(num_classes, image_shape)

        def make_group(in_channels: int, channels: int, blocks: int, stride: int, expansion: int = 6) -> nn.Sequential:
            first = InvertedResidual(in_channels, channels, stride, expansion)
            return nn.Sequential(
                first, *(InvertedResidual(channels, channels, 1, expansion) for _ in range(blocks - 1))
            )

        self.conv1 = nn.Sequential(
            nn.Conv2d(image_shape[0], 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.blocks = nn.ModuleList(
            [
                make_group(16, 8, blocks=1, stride=1, expansion=1),
                make_group(8, 12, blocks=2, stride=1),
                make_group(12, 16, blocks=3, stride=2),
                make_group(16, 32, blocks=4, stride=2),
                make_group(32, 48, blocks=3, stride=1),
                make_group(48, 80, blocks=3, stride=2),
                make_group(80, 160, blocks=1, stride=1),
            ]
        )
        self.conv2 = nn.Sequential(nn.Conv2d(160, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU())
        head = nn.Linear(1280, num_classes)
        self.classifier = nn.Sequential(head)
        draw_kaiming_convolutions(self)
        draw_small_head(head)

    def activations(self, images: Tensor) -> Activations:
        stem = self.conv1(images)
        stage1 = self.blocks[1](self.blocks[0](stem))
        stage2 = self.blocks[2](stage1)
        stage3 = self.blocks[4](self.blocks[3](stage2))
        stage4 = self.blocks[6](self.blocks[5](stage3))
        embedding = self.conv2(stage4).mean(dim=(2, 3))
        return Activations(
            logits=self.classifier(embedding), embedding=embedding, stages=(stage1, stage2, stage3, stage4), stem=stem
        )
