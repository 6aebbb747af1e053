"""Training on labels alone: a teacher, or the baseline (BAS) that distillation is compared with."""

__all__ = ["Supervised"]

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.methods.base.learner import Learner, cross_entropy


class Supervised(Learner):
    """Cross-entropy with the labels, no teacher."""

    def batch_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy."""
        return {"cross_entropy": cross_entropy(self(batch.images), batch.target)}
