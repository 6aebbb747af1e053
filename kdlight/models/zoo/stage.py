"""Residual blocks in a row, where the ReLU after each block belongs to the stage."""

from torch import Tensor, nn
from torch.nn import functional as F


class Stage(nn.Sequential):
    """Runs its blocks, which return values before their ReLU, with a ReLU after each."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stage's feature map and the same before its last ReLU."""
        preactivation = x
        for block in self:
            preactivation = block(x)
            x = F.relu(preactivation)
        return x, preactivation
