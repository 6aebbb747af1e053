"""NKD: normalized knowledge distillation.

Yang, Zeng, Li, Zhang, Yuan, Li, "From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach with
Normalized Loss and Customized Soft Labels", ICCV 2023 (arXiv 2303.13005). Authors' code: github.com/yzd-v/cls_KD.
"""

__all__ = ["NKD"]

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.nkd import nkd_loss
from kdlight.methods.base.logit_distiller import LogitDistiller, LogitDistillerArguments
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeFloat, PositiveFloat
from kdlight.unpack import Unpack


class NKD(LogitDistiller):
    """Compare student and teacher in two terms: one for the target class, one for all other classes.

    The loss is ``ce_weight * CE - p_t(y) log p_s(y) - gamma T^2 sum q_t log q_s``. p_s and p_t are the probabilities of
    student and teacher. q_s and q_t are the probabilities that student and teacher give to the classes other than the
    target y, computed at temperature T and normalised to sum to 1. The sum of the last two terms of the formula is
    logged as `nkd`. These terms are not divergences: they are usually above 0 even if the student's outputs equal the
    teacher's. The defaults are those of the authors for CIFAR-100; for ImageNet they set gamma to 1.5 and T to 1.

    If the teacher is an ensemble, the softmaxes of its members at T are averaged, and the average is turned back into
    logits: T times its logarithm. From these logits p_t is computed at temperature 1, and q_t at temperature T.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        gamma: Weight of the term of the classes other than the target.
        temperature: T, at which the term of the classes other than the target is computed. The term of the target is
            computed at temperature 1.
        base: Passed on to `LogitDistiller`: ce_weight, standardize_logits, teacher_weights, optimizer, …
    """

    saves_teacher = False

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        gamma: NonNegativeFloat = 3.5,
        temperature: PositiveFloat = 3.0,
        **base: Unpack[LogitDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.gamma = gamma
        self.temperature = temperature

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted cross-entropy, and the sum of the formula's other two terms as ``nkd``."""
        logits = self.prepare_logits(student, teacher, self.temperature)
        loss = nkd_loss(*logits, batch.target, gamma=self.gamma, temperature=self.temperature)
        return {**self.task_terms(student, batch), "nkd": loss}
