"""VGG networks with batch norm for small images.

Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
https://arxiv.org/abs/1409.1556, table 1. Global average pooling and one linear layer replace the paper's three linear
layers. The parameters have the names and shapes of https://github.com/HobbitLong/RepDistiller (models/vgg.py, the `_bn`
variants), so that RepDistiller's weights can be loaded unchanged. The initialisation is RepDistiller's, too. VGG-8 is
not in the paper, but in RepDistiller.

Max pooling halves the height and width of the maps before the second, third and fourth block, and before the fifth if
the image has 64 rows or more (in RepDistiller: exactly 64). Halved sizes are rounded up. Rounding up changes nothing at
32 and 64 pixels, and keeps smaller images from vanishing.
"""

__all__ = ["VGG", "vgg8", "vgg11", "vgg13", "vgg16", "vgg19"]

from torch import Tensor, nn
from torch.nn import functional as F

from kdlight.arguments import record_arguments
from kdlight.models.activations import Activations
from kdlight.models.classifier import CIFAR_SHAPE, Classifier, ImageShape
from kdlight.models.zoo.initialisation import draw_kaiming_convolutions, draw_small_head


class VGG(Classifier):
    """Five blocks of 3x3 convolutions; the first is the stem, the others are the stages.

    Args:
        convolutions: Number of convolutions in each block.
        num_classes: Number of classes.
        image_shape: (channels, height, width).
    """

    head_name = "classifier"
    stage_names = ("block1", "block2", "block3", "block4")

    def __init__(self, convolutions: tuple[int, int, int, int, int], num_classes: int, image_shape: ImageShape) -> None:
        super().__init__(num_classes, image_shape)
        self.block0 = _build_block(convolutions[0], image_shape[0], 64)
        self.block1 = _build_block(convolutions[1], 64, 128)
        self.block2 = _build_block(convolutions[2], 128, 256)
        self.block3 = _build_block(convolutions[3], 256, 512)
        self.block4 = _build_block(convolutions[4], 512, 512)
        self.classifier = nn.Linear(512, num_classes)
        draw_kaiming_convolutions(self)
        draw_small_head(self.classifier)

    def activations(self, images: Tensor) -> Activations:
        stem = F.relu(self.block0(images))
        preactivation1 = self.block1(_halve(stem))
        stage1 = F.relu(preactivation1)
        preactivation2 = self.block2(_halve(stage1))
        stage2 = F.relu(preactivation2)
        preactivation3 = self.block3(_halve(stage2))
        stage3 = F.relu(preactivation3)
        preactivation4 = self.block4(_halve(stage3) if images.shape[2] >= 64 else stage3)
        stage4 = F.relu(preactivation4)
        embedding = stage4.mean(dim=(2, 3))
        return Activations(
            logits=self.classifier(embedding),
            embedding=embedding,
            stages=(stage1, stage2, stage3, stage4),
            preactivations=(preactivation1, preactivation2, preactivation3, preactivation4),
            stem=stem,
        )

    def get_norms_before_relu(self) -> tuple[nn.BatchNorm2d, ...]:
        lasts = (block[-1] for block in (self.block1, self.block2, self.block3, self.block4))
        return tuple(last for last in lasts if isinstance(last, nn.BatchNorm2d))


def _build_block(convolutions: int, in_channels: int, channels: int) -> nn.Sequential:
    """Build convolutions with batch norm and ReLU, but without the last ReLU."""
    layers: list[nn.Module] = []
    for _ in range(convolutions):
        layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        in_channels = channels
    return nn.Sequential(*layers[:-1])


def _halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, ceil_mode=True)


@record_arguments
def vgg8(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> VGG:
    """Build VGG-8, with one convolution per block."""
    return VGG((1, 1, 1, 1, 1), num_classes, image_shape)


@record_arguments
def vgg11(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> VGG:
    """Build VGG-11, configuration A of the paper."""
    return VGG((1, 1, 2, 2, 2), num_classes, image_shape)


@record_arguments
def vgg13(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> VGG:
    """Build VGG-13, configuration B of the paper."""
    return VGG((2, 2, 2, 2, 2), num_classes, image_shape)


@record_arguments
def vgg16(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> VGG:
    """Build VGG-16, configuration D of the paper."""
    return VGG((2, 2, 3, 3, 3), num_classes, image_shape)


@record_arguments
def vgg19(num_classes: int, image_shape: ImageShape = CIFAR_SHAPE) -> VGG:
    """Build VGG-19, configuration E of the paper."""
    return VGG((2, 2, 4, 4, 4), num_classes, image_shape)
