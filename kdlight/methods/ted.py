"""TED: Liang, Zuo, Zhang, He, Chen, Zhao, "Less is More: Task-aware Layer-wise Distillation for Language Model
Compression", ICML 2023 (arXiv 2210.01351), as the RID paper (Dissanayake et al., arXiv 2411.07483, appendix C) adapts
it to feature maps.
"""

__all__ = ["TED"]

from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.losses.parts.reduction import Reduction
from kdlight.losses.ted import ted_loss
from kdlight.methods.base.filtered_distiller import FilteredDistiller, FilteredDistillerArguments
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeInt, Weight
from kdlight.unpack import Unpack


class TED(FilteredDistiller):
    """Train task-aware filters first, then the student to match the teacher's filtered maps.

    In the first phase (`filter_epochs`), a filter and a head at each stage of teacher and student learn the labels,
    while both networks are frozen. In the second phase the heads are not used; the student and its filters minimise
    ``CE + ted_weight * sum over stages of mean (f_s(S) - f_t(T))^2``, where f_s(S) and f_t(T) are the filtered maps of
    student and teacher.

    The RID paper starts from a student that was trained without a teacher; to do the same, give `student_weights`. By
    default the student starts untrained, as in the RID authors' experiments. Their class `TEDStudent` is given trained
    networks but draws new initial weights for both. Accordingly, the curves of their Figure 4 begin at chance accuracy.

    This class is TED as the RID paper describes it. The CIFAR-10 script of the RID authors does not run TED, however.
    What it calls TED is their RID class, with RID's losses and one cycle as long as the run: the first eighth of the
    run trains the filters, the rest the student. Figure 4 of the RID paper may show the results of this script. To
    repeat the script with kdlight, use `RID` with ``warmup_epochs: null``, ``cycle_epochs`` equal to the epochs of the
    run, and ``filter_ratio: 0.125`` (configs/cifar10/ted_authors.yaml).

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        filter_epochs: Number of epochs of the first phase.
        ted_weight: Weight of the sum of distances; the RID authors' code uses 10.
        reduction: How the squared differences of a stage are reduced. "mean": to the mean over all elements, as in the
            RID authors' code. "sum": to the sum over the elements of a sample, averaged over the batch.
        base: Passed on to `FilteredDistiller`: stages, initialisation, ce_weight, teacher_weights, optimizer, …
    """

    has_student_heads = True

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        filter_epochs: NonNegativeInt,
        ted_weight: Weight = 10.0,
        reduction: Reduction = "mean",
        **base: Unpack[FilteredDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.filter_epochs = filter_epochs
        self.ted_weight = ted_weight
        self.reduction = reduction

    def trainable_children(self, epoch: int) -> tuple[nn.Module, ...]:
        """Return filters and heads in the first phase, the student and its filters in the second."""
        if epoch < self.filter_epochs:
            return self.teacher_filters, self.teacher_heads, self.student_filters, self.student_heads
        return self.student, self.student_filters

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss.

        In the first phase they are the cross-entropies of the heads. In the second phase they are the student's
        cross-entropy and the distances.
        """
        first_stage = self.current_epoch < self.filter_epochs
        terms = {} if first_stage else self.task_terms(student, teacher, batch)
        for place, pair in enumerate(self.pairs):
            from_student = self.filter_student(place, student, teacher)
            from_teacher = self.filter_teacher(place, student, teacher)
            name = pair.name
            if first_stage:
                terms[f"teacher_head_{name}"] = cross_entropy(self.teacher_heads[place](from_teacher), batch.target)
                terms[f"student_head_{name}"] = cross_entropy(self.student_heads[place](from_student), batch.target)
            else:
                loss = ted_loss(from_student, from_teacher, reduction=self.reduction)
                terms[f"ted_{name}"] = self.ted_weight * loss
        return terms
