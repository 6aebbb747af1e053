"""SP: Tung, Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019 (arXiv 1907.09682)."""

__all__ = ["SP"]

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.sp import sp_loss
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.stages import pair_stages
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Weight
from kdlight.unpack import Unpack


class SP(FeatureDistiller):
    """Preserve which samples of a batch are similar: ``CE + sp_weight * mean (G_s - G_t)^2``.

    G_s holds the inner products of the student's last feature maps for all pairs of samples in the batch. G_t holds
    those of the teacher's last feature maps. Each row of these matrices is scaled to length 1, as in RepDistiller.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        sp_weight: Weight of the squared differences.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    reads = ("logits", "stages")

    distils = "relations of samples"

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        sp_weight: Weight = 3000.0,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.sp_weight = sp_weight
        (self.pair,) = pair_stages(self, [-1])

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of `task_terms` and the term of the last stage."""
        terms = self.task_terms(student, teacher, batch)
        terms["sp"] = self.sp_weight * sp_loss(student.stages[self.pair.student], teacher.stages[self.pair.teacher])
        return terms
