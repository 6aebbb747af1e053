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
    """Squared hinge loss that puts each of the student's neurons on the teacher's side of the ReLU's threshold.

    (s + m)^2 where s > -m and the teacher's neuron is off (t <= 0); (s - m)^2 where s <= m and it is on. Sum over a
    sample's elements, mean over the batch. The reference code multiplies a stage by 3/1000 and by 1/2 for every later
    stage; those are weights of the method. The loss is 0 if every neuron of the student is on the teacher's side by at
    least the margin; so it need not be 0 if the student equals the teacher.

    Args:
        student_preactivation: (batch, channels, height, width), before the ReLU and mapped to the teacher's shape.
        teacher_preactivation: The same shape; no gradient reaches it.
        margin: m, at least 0; 1 in the published tables.

    Raises:
        UserError: If the shapes differ.
    """
    require_same_shape(student_preactivation, teacher_preactivation)
    student, on = student_preactivation, teacher_preactivation.detach() > 0
    too_high = (student + margin).square() * ((student > -margin) & ~on)
    too_low = (student - margin).square() * ((student <= margin) & on)
    return (too_high + too_low).flatten(1).sum(1).mean()
