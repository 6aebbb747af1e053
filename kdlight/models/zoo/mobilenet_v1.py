"""MobileNetV1 for photographs.

Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
https://arxiv.org/abs/1704.04861, table 1. The parameters and their names are those of
https://github.com/megvii-research/mdistiller (models/imagenet/mobilenetv1.py). mdistiller's average pooling accepts
only images of 224x224 pixels; the average pooling in this file accepts images of any size. As in mdistiller, the
initial weights are torch's default.
"""

__all__ = ["MobileNetV1"]

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from kdlight.models.activations import Activations
from kdlight.models.classifier import PHOTOGRAPH_SHAPE, Classifier, ImageShape

#: Output channels and stride of the 13 depthwise separable blocks (table 1 of the paper).
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
#: Each stage ends with the last block of its resolution: 1/4, 1/8, 1/16 or 1/32 of the image's side. The numbers are
#: the indices of these blocks in `MobileNetV1.model`, where the stem has the index 0.
STAGE_ENDS = (3, 5, 11, 13)


class MobileNetV1(Classifier):
    """A convolution and 13 depthwise separable blocks. The maps of the stages have 1/4 to 1/32 of the image's side.

    Args:
        num_classes: Number of classes.
        image_shape: (channels, height, width).
    """

    head_name = "fc"
    stage_names = tuple(f"model.{end}" for end in STAGE_ENDS)

    def __init__(self, num_classes: int, image_shape: ImageShape = PHOTOGRAPH_SHAPE) -> None:
        super().__init__(num_classes, image_shape)
        stem = nn.Sequential(nn.Conv2d(image_shape[0], 32, 3, 2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        widths = (32, *(channels for channels, _ in BLOCKS))
        blocks = (
            _build_separable(before, channels, stride)
            for before, (channels, stride) in zip(widths, BLOCKS, strict=False)
        )
        self.model = nn.Sequential(stem, *blocks)
        self.fc = nn.Linear(1024, num_classes)

    def activations(self, images: Tensor) -> Activations:
        stem = x = self.model[0](images)
        stages, preactivations = [], []
        for place, block in enumerate(list(self.model)[1:], start=1):
            before_relu = cast(nn.Sequential, block)[:-1](x)
            x = F.relu(before_relu)
            if place in STAGE_ENDS:
                stages.append(x)
                preactivations.append(before_relu)
        embedding = x.mean(dim=(2, 3))
        return Activations(
            logits=self.fc(embedding),
            embedding=embedding,
            stages=tuple(stages),
            preactivations=tuple(preactivations),
            stem=stem,
        )

    def get_norms_before_relu(self) -> tuple[nn.BatchNorm2d, ...]:
        lasts = (cast(nn.Sequential, self.model[end])[-2] for end in STAGE_ENDS)
        return tuple(last for last in lasts if isinstance(last, nn.BatchNorm2d))


def _build_separable(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """Build a 3x3 convolution of each channel and a 1x1 convolution of all channels, each with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )
