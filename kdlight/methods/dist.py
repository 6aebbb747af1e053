"""DIST: Huang, You, Wang, Qian, Xu, "Knowledge Distillation from A Stronger Teacher", 2022 (arXiv 2205.10536)."""

__all__ = ["DIST"]

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.dist import dist_loss
from kdlight.methods.base.logit_distiller import LogitDistiller, LogitDistillerArguments
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeFloat, PositiveFloat, Weight
from kdlight.unpack import Unpack


class DIST(LogitDistiller):
    """Correlate with the teacher: ``ce_weight * CE + dist_weight * T^2 (beta * inter-class + gamma * intra-class)``.

    The softened probabilities of the student are a matrix (batch, classes), and so are the teacher's. The inter-class
    term is 1 minus the mean Pearson correlation between a row of the student's matrix and the same row of the
    teacher's. The intra-class term is 1 minus the mean Pearson correlation between a column of the student's matrix and
    the same column of the teacher's. The defaults are those of the authors' code for CIFAR-100; for ImageNet the
    authors set T to 1.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        dist_weight: Common weight of the inter-class and the intra-class term; `kd_loss_weight` in the authors' code.
        beta: Weight of the inter-class term.
        gamma: Weight of the intra-class term.
        temperature: T, by which the logits of student and teacher are divided.
        base: Passed on to `LogitDistiller`: ce_weight, standardize_logits, teacher_weights, optimizer, …
    """

    saves_teacher = False
    distils = "relations of logits"

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        dist_weight: Weight = 2.0,
        beta: NonNegativeFloat = 1.0,
        gamma: NonNegativeFloat = 1.0,
        temperature: PositiveFloat = 4.0,
        **base: Unpack[LogitDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.dist_weight = dist_weight
        self.beta, self.gamma = beta, gamma
        self.temperature = temperature

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy and the weighted sum of the inter-class and intra-class terms."""
        logits = self.prepare_logits(student, teacher, self.temperature)
        loss = dist_loss(*logits, beta=self.beta, gamma=self.gamma, temperature=self.temperature)
        return {**self.task_terms(student, batch), "dist": self.dist_weight * loss}
