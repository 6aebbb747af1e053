"""AB: activation boundaries.

Heo, Lee, Yun, Choi, "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons", AAAI 2019
(arXiv 1811.03233).
"""

__all__ = ["ab_loss"]

from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_shape


@widen_half_precision
def ab_loss(student_preactivation: Tensor, teacher_preactivation: Tensor, *, margin: float) -> Tensor:
    """Compute a squared hinge loss that pushes the student's neurons to the teacher's side of the ReLU's threshold.

    Let s and t be the values of a neuron in student and teacher, and m the margin. If the teacher's neuron is off
    (t <= 0), the loss is (s + m)^2 for s > -m and otherwise 0. If the teacher's neuron is on, the loss is (s - m)^2
    for s <= m and otherwise 0. The losses are summed over the elements of a sample and averaged over the batch. The
    loss is 0 only if every neuron of the student is on the teacher's side and at least the margin away from 0, so it
    can be positive although the student equals the teacher. RepDistiller also multiplies the loss of a stage by 3/1000
    and by ``2^-(number of deeper stages)``. These factors are not applied here, but by the method `kdlight.methods.AB`.

    Args:
        student_preactivation: (batch, channels, height, width), before the ReLU and mapped to the teacher's shape.
        teacher_preactivation: A tensor of the same shape; no gradient reaches it.
        margin: m, at least 0; 1 in RepDistiller.

    Raises:
        UserError: If the shapes differ.
    """
    require_same_shape(student_preactivation, teacher_preactivation)
    student, on = student_preactivation, teacher_preactivation.detach() > 0
    too_high = (student + margin).square() * ((student > -margin) & ~on)
    too_low = (student - margin).square() * ((student <= margin) & on)
    return (too_high + too_low).flatten(1).sum(1).mean()
