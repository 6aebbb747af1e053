"""KD: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv 1503.02531)."""

__all__ = ["KD"]

import torch
from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.kd import kd_loss
from kdlight.methods.base.logit_distiller import LogitDistiller, LogitDistillerArgumentsWithoutCE
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Fraction, NonNegativeFloat, PositiveFloat, Weight
from kdlight.unpack import Unpack


class KD(LogitDistiller):
    """Learn from the teacher's softened outputs and the labels: ``ce_weight * CE + kd_weight * T^2 KL``.

    The default weights (0.1 and 0.9, with T = 4) are those of mdistiller for CIFAR-100. In the paper, the best results
    generally had a considerably lower weight on the labels than on the soft targets. The logged soft term is a KL
    divergence, so it is 0 if the student's outputs equal the teacher's. On images without labels, the cross-entropy
    equals 0. If the teacher is an ensemble, the soft target is the mean of its members' softened outputs.

    With `noise` the teacher is noisy (Sau, Balasubramanian, "Deep Model Compression: Distilling Knowledge from Noisy
    Teachers", 2016, arXiv 1610.09650). For a random part of the samples, each logit z is replaced by (1 + xi) z, where
    xi is normally distributed and drawn anew for every logit in every step.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        temperature: T, which softens both distributions.
        ce_weight: Weight of the cross-entropy with the labels.
        kd_weight: Weight of the divergence from the teacher.
        noise: Standard deviation of xi; 0: no noise.
        noisy_fraction: Probability that a sample's logits get noise; alpha in the paper.
        base: Passed on to `LogitDistiller`: standardize_logits, teacher_weights, optimizer, …
    """

    saves_teacher = False

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        temperature: PositiveFloat = 4.0,
        ce_weight: Weight = 0.1,
        kd_weight: Weight = 0.9,
        noise: NonNegativeFloat = 0.0,
        noisy_fraction: Fraction = 1.0,
        **base: Unpack[LogitDistillerArgumentsWithoutCE],
    ) -> None:
        super().__init__(student, teacher, ce_weight=ce_weight, **base)
        self.temperature = temperature
        self.kd_weight = kd_weight
        self.noise, self.noisy_fraction = noise, noisy_fraction

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy and the divergence of the softened outputs."""
        if self.noise:
            members = tuple(map(self._disturb, teacher.member_logits))
            teacher = teacher._replace(logits=self._disturb(teacher.logits), member_logits=members)
        soft = kd_loss(*self.prepare_logits(student, teacher, self.temperature), temperature=self.temperature)
        return {**self.task_terms(student, batch), "kd": self.kd_weight * soft}

    def _disturb(self, logits: Tensor) -> Tensor:
        chosen = torch.rand(len(logits), 1, device=logits.device) < self.noisy_fraction
        return logits * (1 + self.noise * chosen * torch.randn_like(logits))
