"""MLKD: Jin, Wang, Lin, "Multi-Level Logit Distillation", CVPR 2023.

Authors' code: github.com/Jin-Ying/Multi-Level-Logit-Distillation.
"""

__all__ = ["MLKD"]

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.kd import kd_loss
from kdlight.losses.mlkd import mlkd_batch_loss, mlkd_class_loss, mlkd_kept_fractions
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.base.logit_distiller import LogitDistiller, LogitDistillerArgumentsWithoutCE
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.ensemble import average_softened_logits
from kdlight.ranges import PositiveFloat, Weight
from kdlight.unpack import Unpack


class MLKD(LogitDistiller):
    """Compare logits by instance, class and batch, at several temperatures, on a weak and a strong view of each image.

    The loss is ``ce_weight * (CE(weak) + CE(strong)) + kd_weight * sum over T of (f_s T^2 KL(weak) + T^2 KL(strong) +
    f_c class(weak) + f_s batch(weak))``, where class and batch are `mlkd_class_loss` and `mlkd_batch_loss`, and the
    fractions f_s and f_c are explained below. The weak view is the standard augmentation. The strong view has a crop
    and a flip of its own, then RandAugment and cutout.

    The paper and the authors' code differ in three points. The paper's tables were made with the code, so this class
    follows the code in the first two points. The third is a mistake in the code, which is corrected here:

    - In the paper, masks remove samples and classes for which the teacher is certain. In the code, and here, nothing is
      removed. Instead, terms of the weak view are multiplied by the fractions that the masks would keep
      (`mlkd_kept_fractions`): KL and batch by f_s, the fraction of samples, and class by f_c, the fraction of classes.
    - In the code, and here, the class and batch levels use only the weak view, unlike in the paper.
    - At T = 2 and T = 6, the code computes ``KL(strong)`` from the logits of the weak view. Here it is computed from
      the logits of the strong view.

    Both views pass through the networks as one batch, so the student's batch norms see both views together. The authors
    run one view after the other. With `standardize_logits`, only the KL terms use standardised logits, as in the
    code of the authors of logit standardisation. If augmentation is off, both views are the image itself.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        temperatures: The temperatures T, over which the three levels (instance, class, batch) are summed.
        ce_weight: Weight of the cross-entropies with the labels.
        kd_weight: Weight of the three levels.
        base: Passed on to `LogitDistiller`: standardize_logits, teacher_weights, optimizer, …
    """

    saves_teacher = False
    distils = "logits, relations"
    views: ClassVar[int] = 2
    strong_view: ClassVar[bool] = True

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        temperatures: Sequence[PositiveFloat] = (4.0, 3.0, 5.0, 2.0, 6.0),
        ce_weight: Weight = 0.1,
        kd_weight: Weight = 0.9,
        **base: Unpack[LogitDistillerArgumentsWithoutCE],
    ) -> None:
        super().__init__(student, teacher, ce_weight=ce_weight, **base)
        self.temperatures = temperatures
        self.kd_weight = kd_weight

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropies of both views and one term for each level."""
        size = len(batch.target)
        kept_samples, kept_classes = mlkd_kept_fractions(teacher.logits[:size])
        instances, classes, batches = [], [], []
        for temperature in self.temperatures:
            of_student, of_teacher = self.prepare_logits(student, teacher, temperature)
            weak = kd_loss(of_student[:size], of_teacher[:size], temperature=temperature)
            strong = kd_loss(of_student[size:], of_teacher[size:], temperature=temperature)
            instances.append(kept_samples * weak + strong)
            raw = average_softened_logits(teacher.member_logits or (teacher.logits,), temperature)
            pair = student.logits[:size], raw[:size]
            classes.append(kept_classes * mlkd_class_loss(*pair, temperature=temperature))
            batches.append(kept_samples * mlkd_batch_loss(*pair, temperature=temperature))
        weak, strong = (cross_entropy(logits, batch.target) for logits in student.logits.split(size))
        return {
            "cross_entropy": self.ce_weight * (weak + strong),
            "mlkd_instance": self.kd_weight * torch.stack(instances).sum(),
            "mlkd_class": self.kd_weight * torch.stack(classes).sum(),
            "mlkd_batch": self.kd_weight * torch.stack(batches).sum(),
        }
