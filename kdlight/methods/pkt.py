"""PKT: Passalis, Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer", ECCV 2018.

arXiv 1803.10837.
"""

__all__ = ["PKT"]

from typing import Any

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.pkt import pkt_loss
from kdlight.methods.base.distiller import Teacher
from kdlight.methods.base.feature_distiller import FeatureDistiller
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier


class PKT(FeatureDistiller):
    """Match the probabilities of being neighbours in the embedding: ``CE + pkt_weight * mean over pairs of KL``.

    Args:
        student: The network that is trained.
        teacher: The network it learns from.
        pkt_weight: Weight of the divergence.
        features: The arguments of `FeatureDistiller`.
    """

    reads = ("logits", "embedding")

    distils = "relations of samples"

    def __init__(self, student: Classifier, teacher: Teacher, *, pkt_weight: float = 30000.0, **features: Any) -> None:
        super().__init__(student, teacher, **features)
        self.pkt_weight = pkt_weight

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy and the divergence."""
        terms = self.task_terms(student, teacher, batch)
        terms["pkt"] = self.pkt_weight * pkt_loss(student.embedding, teacher.embedding)
        return terms
