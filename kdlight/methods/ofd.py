"""OFD: Heo, Kim, Yun, Park, Kwak, Choi, "A Comprehensive Overhaul of Feature Distillation", ICCV 2019.

arXiv 1904.01866.
"""

__all__ = ["OFD"]

import math

from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.losses.ofd import ofd_loss, ofd_margin
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.preactivations import get_preactivations, get_student_preactivations
from kdlight.methods.base.stages import pair_stages, run_blank_images
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Weight
from kdlight.unpack import Unpack


class OFD(FeatureDistiller):
    """At each stage, predict the teacher's map before the ReLU from the student's map before the ReLU.

    In the teacher's maps, values below a negative margin are raised to the margin. The loss is ``CE + ofd_weight * sum
    over stages of 2^-(number of deeper stages) * ofd_loss(r(s), t, m)``. The maps s of the student and t of the teacher
    are those before the ReLU, and r is a 1x1 convolution with batch norm. The margin m of a channel is the mean of the
    teacher's negative values, estimated from weight and bias of the batch norm before the teacher's ReLU. `ofd_loss` is
    the squared distance of r(s) from max(t, m). Where t is not positive, a value of r(s) up to max(t, m) costs nothing.
    The weight 1e-3 is that of mdistiller for CIFAR-100.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        ofd_weight: Weight of the sum of distances.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …

    Raises:
        UserError: If a network does not return its maps before the ReLU, or no batch norm precedes the teacher's ReLU.
            A student whose stages end without a ReLU (`linear_stages`) need not return these maps.
    """

    reads = ("logits", "preactivations")

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        ofd_weight: Weight = 1e-3,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.ofd_weight = ofd_weight
        self.pairs = pair_stages(self)
        of_student = get_student_preactivations(run_blank_images(student, student.image_shape), student)
        norms = self.teacher.model.get_norms_before_relu()
        self.regressors = nn.ModuleList()
        for place, pair in enumerate(self.pairs):
            norm = norms[pair.teacher]
            convolution = nn.Conv2d(of_student[pair.student].shape[1], norm.num_features, 1, bias=False)
            nn.init.normal_(convolution.weight, std=math.sqrt(2 / norm.num_features))
            self.regressors.append(nn.Sequential(convolution, nn.BatchNorm2d(norm.num_features)))
            # Not persistent, because checkpoints hold neither the teacher nor values computed from it.
            self.register_buffer(f"margin{place}", ofd_margin(norm.weight, norm.bias), persistent=False)

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of `task_terms`, and one term for each pair of stages."""
        terms = self.task_terms(student, teacher, batch)
        for place, (pair, regressor) in enumerate(zip(self.pairs, self.regressors, strict=True)):
            regressed = regressor(get_student_preactivations(student, self.student)[pair.student])
            of_teacher = get_preactivations(teacher, "teacher")[pair.teacher]
            loss = ofd_loss(regressed, of_teacher, self.get_buffer(f"margin{place}"))
            weight = self.ofd_weight / 2 ** (len(self.pairs) - place - 1)
            terms[f"ofd_{pair.name}"] = weight * loss
        return terms
