"""RKD: Park, Kim, Lu, Cho, "Relational Knowledge Distillation", CVPR 2019 (arXiv 1904.05068)."""

__all__ = ["RKD"]

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.rkd import rkd_angle_loss, rkd_distance_loss
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Weight
from kdlight.unpack import Unpack


class RKD(FeatureDistiller):
    """Match distances of pairs and angles of triplets: ``CE + distance_weight * L_D + angle_weight * L_A``.

    The pairs and triplets are formed from the samples of a batch. L_D is `rkd_distance_loss` and L_A is
    `rkd_angle_loss`, both computed from the embeddings of student and teacher.

    L_A takes memory for batch^3 cosines and for batch^2 differences of embeddings.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        distance_weight: Weight of the smooth L1 loss between the pairs' distances. Each network's distances are first
            divided by their mean.
        angle_weight: Weight of the smooth L1 loss between the cosines of the triplets' angles.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    reads = ("logits", "embedding")

    distils = "relations of samples"

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        distance_weight: Weight = 25.0,
        angle_weight: Weight = 50.0,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of `task_terms`, the term of the distances and the term of the angles."""
        terms = self.task_terms(student, teacher, batch)
        terms["rkd_distance"] = self.distance_weight * rkd_distance_loss(student.embedding, teacher.embedding)
        terms["rkd_angle"] = self.angle_weight * rkd_angle_loss(student.embedding, teacher.embedding)
        return terms
