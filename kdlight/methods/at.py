"""AT: Zagoruyko, Komodakis, "Paying More Attention to Attention", ICLR 2017 (arXiv 1612.03928)."""

__all__ = ["AT"]

from collections.abc import Sequence

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.at import at_loss
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.stages import pair_stages
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Weight
from kdlight.unpack import Unpack


class AT(FeatureDistiller):
    """Match the attention maps: ``CE + at_weight * sum over stages of mean (a(s) - a(t))^2``.

    s and t are the feature maps of student and teacher at a stage. The attention map a(s) is s squared, averaged over
    the channels, and scaled to norm 1. In the paper, the term of a stage is the norm of a(s) - a(t), and the weight is
    1000 / (height * width * batch size). In the authors' code, and here, the term is the mean of the squared
    differences.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        at_weight: Weight of the mean squared differences.
        stages: Which pairs of stages to compare (see `pair_stages`): 0 is the shallowest, -1 the deepest; null: all.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    reads = ("logits", "stages")

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        at_weight: Weight = 1000.0,
        stages: Sequence[int] | None = None,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.at_weight = at_weight
        self.pairs = pair_stages(self, stages)

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of `task_terms`, and one term for each pair of stages."""
        terms = self.task_terms(student, teacher, batch)
        for pair in self.pairs:
            terms[f"at_{pair.name}"] = self.at_weight * at_loss(*pair.pool_maps(student, teacher))
        return terms
