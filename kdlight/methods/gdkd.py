"""GDKD: generalized decoupled knowledge distillation.

Zheng, Cheng, "Rethinking Decoupled Knowledge Distillation: A Predictive Distribution Perspective", 2025
(arXiv 2512.04625). Authors' code: github.com/ZaberKo/GDKD.
"""

__all__ = ["GDKD"]

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.gdkd import gdkd_loss
from kdlight.methods.base.logit_distiller import LogitDistiller, LogitDistillerArguments
from kdlight.methods.base.schedules import ramp_up
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeInt, PositiveFloat, PositiveInt, Weight
from kdlight.unpack import Unpack


class GDKD(LogitDistiller):
    """Decoupled distillation with two class sets: ``ce_weight * CE + w(epoch) T^2 (w0 KL + w1 KL_top + w2 KL_rest)``.

    The classes are split into two sets: the top classes, to which the teacher gives the highest logits, and the rest.
    The three divergences compare student and teacher: KL (without index) compares the total probabilities (masses) of
    the two sets. KL_top compares the probabilities within the top classes, and KL_rest those within the rest. w grows
    linearly to 1 over `warmup_epochs`. The defaults are those of the authors' code, (w1, w2) = (1, 8). For some pairs
    of networks, the authors' code has other values, for example (1, 1) for resnet56 -> resnet20, (2, 8) for
    resnet32x4 -> resnet8x4, and (2, 6) if the teacher is wrn_40_2.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        top: Number of top classes; k in the authors' code.
        binary_weight: w0, weight of the divergence of the two sets' masses.
        top_weight: w1, weight of the divergence within the top classes.
        other_weight: w2, weight of the divergence within the other classes.
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
        top: PositiveInt = 5,
        binary_weight: Weight = 1.0,
        top_weight: Weight = 1.0,
        other_weight: Weight = 8.0,
        temperature: PositiveFloat = 4.0,
        warmup_epochs: NonNegativeInt = 20,
        **base: Unpack[LogitDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.top = top
        self.binary_weight, self.top_weight, self.other_weight = binary_weight, top_weight, other_weight
        self.temperature = temperature
        self.warmup_epochs = warmup_epochs

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy and the weighted sum of the three divergences."""
        loss = gdkd_loss(
            *self.prepare_logits(student, teacher, self.temperature),
            top=self.top,
            binary_weight=self.binary_weight,
            top_weight=self.top_weight,
            other_weight=self.other_weight,
            temperature=self.temperature,
        )
        return {**self.task_terms(student, batch), "gdkd": ramp_up(self.current_epoch, self.warmup_epochs) * loss}
