"""CTKD: Li, Li, Yang, Zhao, Song, Luo, Li, Yang, "Curriculum Temperature for Knowledge Distillation", AAAI 2023
(arXiv 2211.16231). Authors' code: github.com/zhengli97/CTKD.
"""

__all__ = ["CTKD"]

import torch
from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.losses.ctkd import ctkd_reversal, ctkd_temperature, scale_gradient
from kdlight.losses.kd import kd_loss
from kdlight.methods.base.logit_distiller import LogitDistiller, LogitDistillerArgumentsWithoutCE
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeFloat, PositiveFloat, PositiveInt, Weight
from kdlight.unpack import Unpack

INITIAL_PARAMETER = 1.0


class GlobalTemperature(nn.Module):
    """One temperature for all samples, start + span * sigmoid(parameter), with a scaled gradient.

    Args:
        start: Lower end of the temperature's range.
        span: Length of the range.
    """

    def __init__(self, start: float, span: float) -> None:
        super().__init__()
        self.start, self.span = start, span
        self.parameter = nn.Parameter(torch.tensor(INITIAL_PARAMETER))

    def forward(self, factor: float) -> Tensor:
        """Return the temperature, a scalar; the gradient that reaches the parameter is multiplied by the factor."""
        return ctkd_temperature(scale_gradient(self.parameter, factor), start=self.start, span=self.span)


class CTKD(LogitDistiller):
    """KD with a temperature that is trained to maximise the loss: ``ce_weight * CE + kd_weight * T^2 KL``.

    T = start + span * sigmoid(theta), where theta starts at 1 (T = 15.62 by default). The loss depends on theta through
    T^2 and through the softmaxes of both networks. Its gradient with respect to theta is multiplied by a factor. The
    factor falls along a cosine from 0 to -1 over `curriculum_epochs` and then stays -1. So the student minimises the
    loss while theta maximises it. As in the authors' code, the student's optimizer also trains theta, and the
    optimizer's weight decay pulls theta towards 0 (T = 11 by default). All samples have the same temperature, which the
    authors call global. The paper also has a temperature for each instance, which is not in the public code. The
    temperature after each epoch is logged as ``temperature``.

    The defaults are those of the authors for CIFAR-100. For ImageNet, they set `ce_weight` and `kd_weight` to 1 and
    `curriculum_epochs` to 5.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        start: Lower end of the temperature's range.
        span: Length of the temperature's range.
        curriculum_epochs: Number of epochs over which the factor falls to -1; with 1, it is -1 from the first epoch on.
        ce_weight: Weight of the cross-entropy with the labels.
        kd_weight: Weight of the divergence from the teacher.
        base: Passed on to `LogitDistiller`: standardize_logits, teacher_weights, optimizer, …
    """

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        start: PositiveFloat = 1.0,
        span: NonNegativeFloat = 20.0,
        curriculum_epochs: PositiveInt = 10,
        ce_weight: Weight = 0.1,
        kd_weight: Weight = 0.9,
        **base: Unpack[LogitDistillerArgumentsWithoutCE],
    ) -> None:
        super().__init__(student, teacher, ce_weight=ce_weight, **base)
        self.temperature = GlobalTemperature(start, span)
        self.curriculum_epochs = curriculum_epochs
        self.kd_weight = kd_weight

    def on_train_epoch_end(self) -> None:
        """Log the temperature."""
        super().on_train_epoch_end()
        self.log("temperature", self.temperature(0.0).detach(), sync_dist=True)

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy and the divergence at the learned temperature."""
        # The authors count epochs from 1, so the factor is already below 0 in the first epoch.
        factor = ctkd_reversal(self.current_epoch + 1, epochs=self.curriculum_epochs)
        temperature = self.temperature(factor)
        logits = self.prepare_logits(student, teacher, temperature.detach())
        return {
            **self.task_terms(student, batch),
            "kd": self.kd_weight * kd_loss(*logits, temperature=temperature),
        }
