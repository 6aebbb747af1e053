"""What is computed on request: other redundancies, and which classes an atom is about."""

import numpy as np

from kdlight.information.by_class import broja_by_class
from kdlight.information.discretizer import Symbols
from kdlight.information.histogram import joint_histogram
from kdlight.information.redundancies import i_min, i_mmi


def details_of(of_teacher: Symbols, of_student: Symbols, target: Symbols, *, tolerance: float) -> dict[str, float]:
    """Plug-in values of one stage by key, means over the symbolisations.

    - ``redundant_i_min``, ``redundant_mmi``: the redundancies of Williams and Beer, and of Barrett.
    - ``<atom>_of_class_<y>``, of the redundant and the teacher's unique information: the class's part of the atom. The
      parts of all classes add up to the plug-in atom; one of them can be negative.

    Args:
        of_teacher: Its symbols, (symbolisations, samples).
        of_student: Likewise.
        target: Classes, (samples,).
        tolerance: Of each decomposition, in bits.
    """
    found: list[dict[str, float]] = []
    for first, second in zip(of_teacher, of_student, strict=True):
        counts = joint_histogram(first, second, target)
        joint = counts / counts.sum()
        values = {"redundant_i_min": i_min(joint).redundant, "redundant_mmi": i_mmi(joint).redundant}
        parts = broja_by_class(joint, tolerance=tolerance)
        for name, atom in (("redundant", parts.redundant), ("unique_teacher", parts.unique_first)):
            values |= {f"{name}_of_class_{place}": float(value) for place, value in enumerate(atom)}
        found.append(values)
    return {name: float(np.mean([values[name] for values in found])) for name in found[0]}
