"""TED: Liang, Zuo, Zhang, He, Chen, Zhao, "Less is More: Task-aware Layer-wise Distillation for Language Model
Compression", ICML 2023 (arXiv 2210.01351), for feature maps as the RID paper (arXiv 2411.07483, appendix C) adapts it.
"""

__all__ = ["TED"]

from collections.abc import Sequence

from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.losses.parts.reduction import Reduction
from kdlight.losses.ted import ted_loss
from kdlight.methods.base.distiller import Teacher
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.learner import cross_entropy
from kdlight.methods.base.stages import bottleneck_filter, feature_head, stage_pairs
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.unpack import Unpack


class TED(FeatureDistiller):
    """Task-aware filters first, then the student, drawn to the teacher behind them.

    Stage 1 (`filter_epochs`): a filter and a head per layer, for teacher and student, learn the labels; both networks
    are frozen. Stage 2: the heads are left, student and student filters minimise
    ``CE + ted_weight * sum over layers of mean (f_s(S) - f_t(T))^2``.

    The paper starts from a student trained without a teacher: `student_weights`. The student is fresh by default, since
    the RID authors' code re-initialises the trained student it is given (and, through it, the teacher), and since the
    curves of their Figure 4 begin at chance. Their script spends an eighth of the epochs on stage 1.

    Args:
        student: The network that is trained.
        teacher: The network it learns from.
        filter_epochs: Epochs of stage 1.
        ted_weight: Weight of the distance; the RID authors' code has 10.
        stages: Which shared stages, 0 the shallowest, -1 the deepest; null: all.
        reduction: "mean" over all elements, as the reference, or "sum" over a sample's and mean over the batch.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    reads = ("logits", "stages")

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        filter_epochs: int,
        ted_weight: float = 10.0,
        stages: Sequence[int] | None = None,
        reduction: Reduction = "mean",
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.filter_epochs = filter_epochs
        self.ted_weight = ted_weight
        self.reduction = reduction
        self.pairs = stage_pairs(self, stages)
        self.teacher_filters, self.student_filters = nn.ModuleList(), nn.ModuleList()
        self.teacher_heads, self.student_heads = nn.ModuleList(), nn.ModuleList()
        for pair in self.pairs:
            of_student, of_teacher = pair.student_shape[0], pair.teacher_shape[0]
            self.teacher_filters.append(bottleneck_filter(of_teacher, of_teacher, of_student))
            self.student_filters.append(bottleneck_filter(of_student, 2 * of_student, of_student))
            for heads in (self.teacher_heads, self.student_heads):
                heads.append(feature_head(pair.student_shape, student.num_classes))

    def learners(self, epoch: int) -> tuple[nn.Module, ...]:
        """Filters and heads in stage 1; student and its filters in stage 2."""
        if epoch < self.filter_epochs:
            return self.teacher_filters, self.teacher_heads, self.student_filters, self.student_heads
        return self.student, self.student_filters

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Stage 1: the heads' cross-entropies. Stage 2: the student's, and the distance of each layer."""
        first_stage = self.current_epoch < self.filter_epochs
        terms = {} if first_stage else self.task_terms(student, teacher, batch)
        for place, pair in enumerate(self.pairs):
            of_student, of_teacher = pair.maps(student, teacher)
            from_student = self.student_filters[place](of_student)
            from_teacher = self.teacher_filters[place](of_teacher)
            name = f"stage{pair.student + 1}"
            if first_stage:
                terms[f"teacher_head_{name}"] = cross_entropy(self.teacher_heads[place](from_teacher), batch.target)
                terms[f"student_head_{name}"] = cross_entropy(self.student_heads[place](from_student), batch.target)
            else:
                loss = ted_loss(from_student, from_teacher, reduction=self.reduction)
                terms[f"ted_{name}"] = self.ted_weight * loss
        return terms
