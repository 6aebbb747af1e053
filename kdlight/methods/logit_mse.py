"""Logit matching: Bucilua, Caruana, Niculescu-Mizil, "Model Compression", KDD 2006; Ba, Caruana, "Do Deep Nets Really
Need to be Deep?", 2014 (arXiv 1312.6184).
"""

__all__ = ["LogitMSE"]

import math

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.logit_mse import logit_mse_loss
from kdlight.methods.base.logit_distiller import LogitDistiller, LogitDistillerArgumentsWithoutCE
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Weight
from kdlight.unpack import Unpack


class LogitMSE(LogitDistiller):
    """Match the teacher's logits: ``ce_weight * CE + mse_weight * 1/2 mean over classes of (d - mean d)^2``.

    d = z_s - z_t is the difference between the logits of student and teacher, and mean d is its mean over the classes
    of a sample. The second term is the limit of the term T^2 KL of `KD` as T goes to infinity, so the default weights
    are those of KD. Neither Bucilua et al. nor Ba and Caruana train with labels (``ce_weight: 0``). Ba and Caruana do
    not subtract mean d, and they sum over the classes, which multiplies the second term by the number of classes. If
    the teacher is an ensemble, z_t is the mean of its members' logits, as in Ba and Caruana's paper.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        ce_weight: Weight of the cross-entropy with the labels.
        mse_weight: Weight of the squared distance.
        base: Passed on to `LogitDistiller`: standardize_logits, teacher_weights, optimizer, …
    """

    saves_teacher = False

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        ce_weight: Weight = 0.1,
        mse_weight: Weight = 0.9,
        **base: Unpack[LogitDistillerArgumentsWithoutCE],
    ) -> None:
        super().__init__(student, teacher, ce_weight=ce_weight, **base)
        self.mse_weight = mse_weight

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted cross-entropy and the weighted squared distance between the logits of both networks."""
        loss = logit_mse_loss(*self.prepare_logits(student, teacher, math.inf))
        return {**self.task_terms(student, batch), "logit_mse": self.mse_weight * loss}
