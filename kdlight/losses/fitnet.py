"""FitNet: Romero, Ballas, Kahou, Chassang, Gatta, Bengio, "FitNets: Hints for Thin Deep Nets", ICLR 2015.

arXiv 1412.6550.
"""

__all__ = ["fitnet_loss"]

import torch.nn.functional as F
from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_shape


@widen_half_precision
def fitnet_loss(regressed: Tensor, teacher_feature: Tensor) -> Tensor:
    """Mean squared error over all elements of the regressed student map and the teacher's hint, equation 3.

    The paper writes half a squared norm. The mean without the factor 1/2 is that of the field's reference code, with
    whose weight of 100 the published tables were made.

    Args:
        regressed: (batch, channels, height, width), the student's map after its regressor.
        teacher_feature: The same shape; no gradient reaches it.

    Raises:
        UserError: If the shapes differ.
    """
    require_same_shape(regressed, teacher_feature)
    return F.mse_loss(regressed, teacher_feature.detach())
