"""PKT: Passalis, Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer", ECCV 2018.

arXiv 1803.10837.
"""

__all__ = ["PKT"]

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.pkt import pkt_loss
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Weight
from kdlight.unpack import Unpack


class PKT(FeatureDistiller):
    """Match the probabilities that two samples are neighbours: ``CE + pkt_weight * mean of p_t log(p_t / p_s)``.

    p_s is this probability for a pair of samples, computed from the cosine similarities of the student's embeddings.
    p_t is computed in the same way from the teacher's embeddings. The mean is taken over all pairs of the batch.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        pkt_weight: Weight of the mean over all pairs of samples.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    reads = ("logits", "embedding")

    distils = "relations of samples"

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        pkt_weight: Weight = 30000.0,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.pkt_weight = pkt_weight

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of `task_terms`, and the weighted mean of p_t log(p_t / p_s)."""
        terms = self.task_terms(student, teacher, batch)
        terms["pkt"] = self.pkt_weight * pkt_loss(student.embedding, teacher.embedding)
        return terms
