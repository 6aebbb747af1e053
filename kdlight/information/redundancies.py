"""Two definitions of redundant information with a closed form, for comparison with the definition of BROJA."""

__all__ = ["i_min", "i_mmi"]

import numpy as np
import numpy.typing as npt

from kdlight.information.decomposition import PID, Informations, decompose_joints
from kdlight.information.entropies import Array, split_information


def i_min(joint: npt.ArrayLike) -> PID:
    """Decompose with the redundancy I_min of Williams and Beer, 2010 (arXiv:1004.2515).

    For each symbol of the target, I_min takes the smaller one of the specific informations of both sources; then it
    averages over the target. Therefore two independent sources that provide different information of equal amount
    count as redundant, which they do not in BROJA.

    Args:
        joint: Probabilities with axes (first source, second source, target), or a batch of such tables.

    Returns:
        Atoms in bits, with a ``gap`` of 0: floats for one joint, arrays for a batch.

    Raises:
        UserError: If ``joint`` is not a distribution or a batch of them.
    """
    return decompose_joints(joint, _decompose_by_i_min)


def i_mmi(joint: npt.ArrayLike) -> PID:
    """Decompose with the minimal mutual information as redundancy (Barrett, 2015, arXiv:1411.2832).

    This is the largest redundancy that any decomposition can have. For a scalar Gaussian target it equals the
    redundancy of BROJA.

    Args:
        joint: Probabilities with axes (first source, second source, target), or a batch of such tables.

    Returns:
        Atoms in bits, with a ``gap`` of 0: floats for one joint, arrays for a batch.

    Raises:
        UserError: If ``joint`` is not a distribution or a batch of them.
    """
    return decompose_joints(joint, lambda table: Informations.from_joint(table).decompose(0.0))


def _decompose_by_i_min(joint: Array) -> PID:
    informations = Informations.from_joint(joint)
    redundant = float(np.minimum(split_information(joint.sum(axis=1)), split_information(joint.sum(axis=0))).sum())
    # Except for rounding, the excess lies within [0, min(I(Y;T), I(Y;S))] anyway.
    least = min(informations.first, informations.second)
    return informations.decompose(min(max(least - redundant, 0.0), least))
