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
    """Compute the mean squared error between the regressed student map and the teacher's map, the hint (equation 3).

    The paper takes half of the squared norm. The mean over all elements, without the factor 1/2, is the form of
    RepDistiller and mdistiller, which give this loss a weight of 100.

    Args:
        regressed: (batch, channels, height, width), the student's map after its regressor.
        teacher_feature: A tensor of the same shape; no gradient reaches it.

    Raises:
        UserError: If the shapes differ.
    """
    require_same_shape(regressed, teacher_feature)
    return F.mse_loss(regressed, teacher_feature.detach())
