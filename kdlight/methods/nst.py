"""NST: Huang, Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer", 2017, arXiv 1707.01219."""

__all__ = ["NST"]

from collections.abc import Sequence

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.nst import nst_loss
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.stages import pair_stages
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Weight
from kdlight.unpack import Unpack


class NST(FeatureDistiller):
    """Match how the maps of a stage's channels are distributed: ``CE + nst_weight * sum over stages of MMD^2(s, t)``.

    s and t are sets of vectors: the maps of a stage's channels in student and teacher, each scaled to length 1. MMD^2
    is the squared maximum mean discrepancy between the two sets, with the kernel (a.b)^2 for two vectors a and b. The
    weight 50 and the sum over all stages are those of mdistiller.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        nst_weight: Weight of the discrepancies.
        stages: Which pairs of stages to compare (see `pair_stages`): 0 is the shallowest, -1 the deepest; null: all.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    reads = ("logits", "stages")

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        nst_weight: Weight = 50.0,
        stages: Sequence[int] | None = None,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.nst_weight = nst_weight
        self.pairs = pair_stages(self, stages)

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy, Hinton's term if it has a weight, and one term for each stage."""
        terms = self.task_terms(student, teacher, batch)
        for pair in self.pairs:
            terms[f"nst_{pair.name}"] = self.nst_weight * nst_loss(*pair.pool_maps(student, teacher))
        return terms
