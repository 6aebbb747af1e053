"""DKD: Zhao, Cui, Song, Qiu, Liang, "Decoupled Knowledge Distillation", CVPR 2022 (arXiv 2203.08679)."""

__all__ = ["DKD"]

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.dkd import dkd_loss
from kdlight.methods.base.logit_distiller import LogitDistiller, LogitDistillerArguments
from kdlight.methods.base.schedules import ramp_up
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeInt, PositiveFloat, Weight
from kdlight.unpack import Unpack


class DKD(LogitDistiller):
    """Separate the target class from the others: ``ce_weight * CE + w(epoch) T^2 (alpha TCKD + beta NCKD)``.

    TCKD and NCKD are KL divergences. TCKD compares the two probabilities (target, not target). NCKD compares the
    probabilities of the other classes, divided by their sum. w grows linearly to 1 over `warmup_epochs`.

    The defaults are those of the authors for CIFAR-100 (resnet32x4 -> resnet8x4). The authors choose beta by pair: 2
    for resnet56 -> resnet20, 6 for wrn_40_2 -> wrn_16_2. For ImageNet they use beta 0.5, T = 1 and one epoch of
    warm-up. The authors of logit standardisation (`standardize_logits`) also standardise the logits of DKD. They then
    multiply alpha and beta by the `kd_weight` that they use for KD with standardised logits.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        alpha: Weight of TCKD.
        beta: Weight of NCKD.
        temperature: T, which softens the probabilities of both networks.
        warmup_epochs: Number of epochs over which the common weight w grows to 1; 0: w is 1 from the start.
        base: Passed on to `LogitDistiller`: ce_weight, standardize_logits, teacher_weights, optimizer, …
    """

    saves_teacher = False

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        alpha: Weight = 1.0,
        beta: Weight = 8.0,
        temperature: PositiveFloat = 4.0,
        warmup_epochs: NonNegativeInt = 20,
        **base: Unpack[LogitDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.alpha, self.beta = alpha, beta
        self.temperature = temperature
        self.warmup_epochs = warmup_epochs

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy and the weighted sum of both divergences."""
        logits = self.prepare_logits(student, teacher, self.temperature)
        loss = dkd_loss(*logits, batch.target, alpha=self.alpha, beta=self.beta, temperature=self.temperature)
        return {**self.task_terms(student, batch), "dkd": ramp_up(self.current_epoch, self.warmup_epochs) * loss}
