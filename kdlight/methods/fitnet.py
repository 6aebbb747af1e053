"""FitNet: Romero, Ballas, Kahou, Chassang, Gatta, Bengio, "FitNets: Hints for Thin Deep Nets", ICLR 2015.

arXiv 1412.6550.
"""

__all__ = ["FitNet"]

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.fitnet import fitnet_loss
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.regressor import ConvolutionalRegressor
from kdlight.methods.base.stages import pair_stages, run_both_on_blank_images
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Weight
from kdlight.unpack import Unpack


class FitNet(FeatureDistiller):
    """Predict a feature map of the teacher from a map of the student: ``CE + fitnet_weight * mean (r(s) - t)^2``.

    The teacher's map t is called the hint. s is the student's map, and r is a convolution with batch norm and ReLU. In
    the paper, the student's layers up to s are first trained to predict the hint. Then the whole student is trained on
    labels and soft targets. RepDistiller (code of the CRD paper) and mdistiller (code of the DKD paper) add the term of
    the hint to the cross-entropy in every epoch. This class does the same.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        fitnet_weight: Weight of the squared error.
        stage: The pair of stages whose maps are s and t (see `pair_stages`): 0 is the shallowest, -1 the deepest.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    reads = ("logits", "stages")

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        fitnet_weight: Weight = 100.0,
        stage: int = 1,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.fitnet_weight = fitnet_weight
        (self.pair,) = pair_stages(self, [stage])
        of_student, of_teacher = run_both_on_blank_images(self)
        maps = of_student.stages[self.pair.student], of_teacher.stages[self.pair.teacher]
        self.regressor = ConvolutionalRegressor(maps[0].shape[1:], maps[1].shape[1:], relu=True)

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy and the term of the hint."""
        terms = self.task_terms(student, teacher, batch)
        regressed = self.regressor(student.stages[self.pair.student])
        loss = fitnet_loss(regressed, teacher.stages[self.pair.teacher])
        terms[f"fitnet_{self.pair.name}"] = self.fitnet_weight * loss
        return terms
