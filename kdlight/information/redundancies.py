"""Two redundancies with a closed form, for comparison with BROJA's."""

__all__ = ["i_min", "i_mmi"]

import numpy as np
import numpy.typing as npt

from kdlight.information.decomposition import PID, Informations, decompose_joints
from kdlight.information.entropies import Array


def i_min(joint: npt.ArrayLike) -> PID:
    """Decomposition with the redundancy I_min of Williams and Beer, 2010 (arXiv:1004.2515).

    The specific information about each of the target's symbols that the worse source gives, on average. It calls two
    independent sources that tell different things equally much redundant, which BROJA does not.

    Args:
        joint: probabilities, axes (first source, second source, target), or a batch of them along a leading axis.

    Returns:
        Atoms in bits, ``gap`` 0: floats for one joint, arrays for a batch.

    Raises:
        UserError: if ``joint`` is not a distribution or a batch of them.
    """
    return decompose_joints(joint, _i_min)


def i_mmi(joint: npt.ArrayLike) -> PID:
    """Decomposition with the minimal mutual information as redundancy (Barrett, 2015, arXiv:1411.2832).

    The largest redundancy that any decomposition can have, equal to BROJA's for a scalar Gaussian target.

    Args:
        joint: probabilities, axes (first source, second source, target), or a batch of them along a leading axis.

    Returns:
        Atoms in bits, ``gap`` 0: floats for one joint, arrays for a batch.

    Raises:
        UserError: if ``joint`` is not a distribution or a batch of them.
    """
    return decompose_joints(joint, lambda table: Informations.of(table).decompose(0.0))


def _i_min(joint: Array) -> PID:
    informations = Informations.of(joint)
    redundant = float(np.minimum(_specific(joint.sum(axis=1)), _specific(joint.sum(axis=0))).sum())
    # Within [0, min(I(Y;T), I(Y;S))] except for rounding; the other limit of `largest_excess` is BROJA's alone.
    least = min(informations.first, informations.second)
    return informations.decompose(min(max(least - redundant, 0.0), least))


def _specific(joint: Array) -> Array:
    """P(y) times the information (in bits) that a source gives about y; ``joint`` has axes (source, target)."""
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    ratio = np.divide(joint, product, out=np.ones_like(joint), where=joint > 0)
    return np.asarray((joint * np.log2(ratio)).sum(axis=0))
