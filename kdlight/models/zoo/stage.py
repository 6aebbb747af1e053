"""A sequence of residual blocks that also applies the ReLU after each block."""

from torch import Tensor, nn
from torch.nn import functional as F


class Stage(nn.Sequential):
    """Applies its blocks in order, and a ReLU after each block. The blocks return their values before this ReLU."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stage's feature map, and this map before the last ReLU."""
        preactivation = x
        for block in self:
            preactivation = block(x)
            x = F.relu(preactivation)
        return x, preactivation
