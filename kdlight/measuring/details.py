"""The values that the callback `PIDMonitor` logs only with ``details: true``.

They are the redundant information of teacher and student about the label by several definitions, and what each class
contributes to the redundant information and to the teacher's unique information (which only the teacher has).
"""

from kdlight.information.by_class import broja_by_class
from kdlight.information.discretizer import Symbols
from kdlight.information.histogram import joint_histogram
from kdlight.measuring.other_redundancies import average, compute_other_redundancies


def compute_details(of_teacher: Symbols, of_student: Symbols, target: Symbols, *, tolerance: float) -> dict[str, float]:
    """Compute the values of one stage by key: means over the symbolisations, not corrected for bias.

    A symbolisation is one of several ways in which the features were turned into symbols (integers).

    - ``redundant_i_min``, …: what `compute_other_redundancies` returns.
    - ``redundant_of_class_<y>``, ``unique_teacher_of_class_<y>``: what class y contributes to the redundant information
      and to the teacher's unique information. The contributions of all classes add up to this information; a single
      contribution can be negative.

    Args:
        of_teacher: The teacher's symbols, (symbolisations, samples).
        of_student: The student's symbols, of the same shape.
        target: The classes of the samples, (samples,).
        tolerance: The bound on the error of each decomposition, in bits, at which its solver stops.
    """
    found: list[dict[str, float]] = []
    for first, second in zip(of_teacher, of_student, strict=True):
        counts = joint_histogram(first, second, target)
        joint = counts / counts.sum()
        values = compute_other_redundancies(joint)
        parts = broja_by_class(joint, tolerance=tolerance)
        for name, atom in (("redundant", parts.redundant), ("unique_teacher", parts.unique_first)):
            values |= {f"{name}_of_class_{place}": float(value) for place, value in enumerate(atom)}
        found.append(values)
    return average(found)
