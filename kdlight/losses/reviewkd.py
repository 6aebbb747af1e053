"""ReviewKD: Chen, Liu, Zhao, Jia, "Distilling Knowledge via Knowledge Review", CVPR 2021 (arXiv 2104.09044)."""

__all__ = ["hcl_loss"]

import torch.nn.functional as F
from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_shape


@widen_half_precision
def hcl_loss(fused: Tensor, teacher_feature: Tensor) -> Tensor:
    """Compute the hierarchical context loss (HCL) of one level: mean squared errors of maps at several resolutions.

    A level is a stage or the embedding. The maps of student and teacher are compared as they are, with weight 1. They
    are also compared after average pooling to 4x4, 2x2 and 1x1, as far as these sizes are smaller than the maps. The
    comparison at the largest pooled size has weight 1/2, the next one 1/4, and so on. The weighted sum of the errors is
    divided by the sum of the weights.

    Args:
        fused: (batch, channels, height, width), the student's map, fused with the maps of the deeper levels.
        teacher_feature: A tensor of the same shape; no gradient reaches it.

    Raises:
        UserError: If the shapes differ.
    """
    require_same_shape(fused, teacher_feature)
    teacher_feature = teacher_feature.detach()
    loss, total, weight = F.mse_loss(fused, teacher_feature), 1.0, 1.0
    for size in (4, 2, 1):
        if size < fused.shape[2]:
            weight /= 2
            total += weight
            pooled = F.adaptive_avg_pool2d(fused, size), F.adaptive_avg_pool2d(teacher_feature, size)
            loss = loss + weight * F.mse_loss(*pooled)
    return loss / total
