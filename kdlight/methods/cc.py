"""CC: Peng, Jin, Liu, Zhou, Wu, Liu, Zhou, Zhang, "Correlation Congruence for Knowledge Distillation", ICCV 2019.

arXiv 1904.01802. This file follows the code of github.com/HobbitLong/RepDistiller. The authors of CC shared their code
with the author of RepDistiller.
"""

__all__ = ["CC"]

from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.losses.cc import cc_loss
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.stages import run_both_on_blank_images
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import PositiveInt, Weight
from kdlight.unpack import Unpack


class CC(FeatureDistiller):
    """Reduce the differences D that neighbouring samples share: ``CE + cc_weight * mean_i sum_k D_ik D_(i+1)k``.

    D = |e_s(s) - e_t(t)| is the difference between student and teacher, where s and t are their embeddings, and e_s and
    e_t are trained linear layers. D_ik is element k of D for sample i, and i + 1 is the next sample of the batch. The
    paper compares the correlation matrices of whole batches instead. This class uses the formula of RepDistiller, the
    code of the CRD paper (Tian et al. 2020).

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        cc_weight: Weight of the term with D.
        dim: Size of the outputs of e_s and e_t.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    reads = ("logits", "embedding")

    distils = "relations of samples"

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        cc_weight: Weight = 0.02,
        dim: PositiveInt = 128,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.cc_weight = cc_weight
        of_student, of_teacher = run_both_on_blank_images(self)
        self.student_embedding = nn.Linear(of_student.embedding.shape[1], dim)
        self.teacher_embedding = nn.Linear(of_teacher.embedding.shape[1], dim)

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy and the term of the correlations."""
        terms = self.task_terms(student, teacher, batch)
        loss = cc_loss(self.student_embedding(student.embedding), self.teacher_embedding(teacher.embedding))
        terms["cc"] = self.cc_weight * loss
        return terms
