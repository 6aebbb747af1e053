"""Two closed-form definitions of redundant information, for comparison with BROJA.

A partial information decomposition splits what two sources tell about a target into redundant information (both tell
it), unique information of either one, and synergistic information (only both together tell it). These parts are called
its atoms. BROJA is the decomposition of Bertschinger et al., 2014, which `kdlight.information.broja` computes.
"""

__all__ = ["i_min", "i_mmi"]

import numpy as np
import numpy.typing as npt

from kdlight.information.decomposition import PID, Informations, decompose_joints
from kdlight.information.entropies import Array, split_information


def i_min(joint: npt.ArrayLike) -> PID:
    """Decompose with the redundancy I_min of Williams and Beer, 2010 (arXiv:1004.2515).

    The specific information of a source X about a symbol y of the target is KL(P(x|y) || P(x)). For each y, I_min takes
    the smaller one of the two sources' specific informations; then it averages over y. So I_min counts different
    information of equal amount as redundant. For example, if the sources are two independent fair bits and the target
    is the pair of both, I_min finds 1 redundant bit, and BROJA none.

    Args:
        joint: Probabilities with axes (first source, second source, target), or a batch of such tables.

    Returns:
        The redundant, unique and synergistic information in bits: floats for one joint, arrays for a batch. The field
        ``gap``, a bound on their error, is 0, because the formula is exact.

    Raises:
        UserError: If ``joint`` is not a distribution or a batch of them.
    """
    return decompose_joints(joint, _decompose_by_i_min)


def i_mmi(joint: npt.ArrayLike) -> PID:
    """Decompose with the minimal mutual information as redundancy (Barrett, 2015, arXiv:1411.2832).

    The redundancy is the smaller one of the two sources' informations about the target. A decomposition with a larger
    redundancy would have a negative atom. If all variables are jointly Gaussian and the target is a scalar, BROJA has
    the same redundancy.

    Args:
        joint: Probabilities with axes (first source, second source, target), or a batch of such tables.

    Returns:
        The redundant, unique and synergistic information in bits: floats for one joint, arrays for a batch. The field
        ``gap``, a bound on their error, is 0, because the formula is exact.

    Raises:
        UserError: If ``joint`` is not a distribution or a batch of them.
    """
    return decompose_joints(joint, lambda table: Informations.from_joint(table).decompose(0.0))


def _decompose_by_i_min(joint: Array) -> PID:
    informations = Informations.from_joint(joint)
    redundant = float(np.minimum(split_information(joint.sum(axis=1)), split_information(joint.sum(axis=0))).sum())
    # `Informations.decompose` takes the excess: the smaller of the two sources' informations about the target, minus
    # the redundant information. Without rounding errors the excess lies between 0 and this smaller information.
    least = min(informations.first, informations.second)
    return informations.decompose(min(max(least - redundant, 0.0), least))
