"""CC: Peng, Jin, Liu, Zhou, Wu, Liu, Zhou, Zhang, "Correlation Congruence for Knowledge Distillation", ICCV 2019.

arXiv 1904.01802. The formula is that of RepDistiller (github.com/HobbitLong/RepDistiller), with which the CRD paper
(Tian et al. 2020) compares methods. The authors of CC shared their code with the author of RepDistiller.
"""

__all__ = ["cc_loss"]

from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_batch, require_same_shape


@widen_half_precision
def cc_loss(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """Compute the mean over samples i of ``sum over elements k of D_ik D_(i+1)k``, where D = |e_s - e_t|.

    e_s and e_t are the embeddings (batch, dim) of student and teacher. The paper defines another loss, the squared
    difference of the batch's correlation matrices. The loss here multiplies only the differences of neighbours in the
    batch, i and i + 1, so it depends on the order of the samples. Gradients reach both arguments, because the layers
    that compute the two embeddings are trained.

    Args:
        student_embedding: (batch, dim), at least two samples.
        teacher_embedding: (batch, dim).

    Raises:
        UserError: If the shapes differ or there is only one sample.
    """
    require_same_batch(student_embedding, teacher_embedding, at_least=2)
    require_same_shape(student_embedding, teacher_embedding)
    difference = (student_embedding - teacher_embedding).abs()
    return (difference[:-1] * difference[1:]).sum(1).mean()
