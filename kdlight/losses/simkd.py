"""SimKD: Chen, Mei, Zhang, Wang, Feng, Chen, "Knowledge Distillation with the Reused Teacher Classifier", CVPR 2022.

arXiv 2203.14001; the authors' code is github.com/DefangChen/SimKD.
"""

__all__ = ["simkd_loss"]

import torch.nn.functional as F
from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_shape


@widen_half_precision
def simkd_loss(projected: Tensor, teacher_feature: Tensor) -> Tensor:
    """Compute the mean squared error between the projected student map and the teacher's last map.

    The paper writes a squared norm; the authors' code takes the mean over all elements, as this function does. The
    authors' code also average-pools the larger of the two maps before the projector; callers do this with
    `pool_to_smaller`.

    Args:
        projected: (batch, channels, height, width), the student's last map after the projector.
        teacher_feature: A tensor of the same shape; no gradient reaches it.

    Raises:
        UserError: If the shapes differ.
    """
    require_same_shape(projected, teacher_feature)
    return F.mse_loss(projected, teacher_feature.detach())
