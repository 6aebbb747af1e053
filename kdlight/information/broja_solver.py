"""The partial information decomposition of Bertschinger, Rauh, Olbrich, Jost and Ay (BROJA)."""

__all__ = ["bracket_optimum", "broja"]

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from kdlight.errors import UserError
from kdlight.information.bracket import Bracket
from kdlight.information.decomposition import PID, Informations, decompose_joints
from kdlight.information.entropies import Array, entropy, mutual_information
from kdlight.information.interior_point import run_interior_point
from kdlight.information.mirror_descent import run_mirror_descent

#: Two solvers are used: an interior-point method and mirror descent. Which of them does most of the work depends on the
#: joint distribution of the target and one source, the source with fewer symbols. If at most this many of its
#: probabilities are positive, the interior-point method does most of the work, because its Newton matrix then has at
#: most this many rows.
_SMALL = 600
#: If more than _SMALL probabilities are positive, but at most this many, mirror descent runs first. The interior-point
#: method follows if mirror descent has not reached the tolerance.
_LARGE = 2000
#: Steps of mirror descent before the interior-point method, if the joint distribution of the target and the source with
#: fewer symbols has more than _SMALL probabilities, but at most _SMALL of them are positive.
_FEW_STEPS = 240
#: Rounding error of sums over 100 x 100 x 100 symbols, in bits; added to every certified error (``gap``).
_ROUNDING = 1e-12


def broja(joint: npt.ArrayLike, *, tolerance: float = 1e-4) -> PID:
    """Compute the BROJA decomposition, with a certified bound on its error.

    BROJA splits I(target; first, second) into four atoms: redundant, unique to the first source, unique to the second
    source, and synergistic. It is defined in Bertschinger et al., 2014, "Quantifying unique information"
    (arXiv:1311.2852), and in definition 3.3 of the RID paper (Dissanayake et al., 2025, arXiv:2411.07483). Let Q be any
    joint distribution that has the same marginals of (first, target) and of (second, target) as ``joint``. The smallest
    I_Q(target; first, second) of all such Q is the information without synergy: the sum of the redundant atom and the
    two unique ones. This minimum determines all four atoms, so its error is the error of each atom.

    This function keeps an upper and a lower bound on the minimum, whose difference is ``gap``, and computes the atoms
    from the upper bound. Therefore, except for rounding, the redundant and synergistic atoms are never too large and
    the unique atoms never too small. At the exact minimum no atom is negative. The upper bound is limited to the range
    in which no atom is negative.

    Two solvers improve the same bounds: an interior-point method and mirror descent. Which of them run depends on the
    number of probabilities in the joint distribution of the target and the source with fewer symbols:

    - up to 600: the interior-point method, then mirror descent;
    - more, but at most 600 that are positive (for example if they were counted from few samples): about 240 steps of
      mirror descent, then the interior-point method, then mirror descent again;
    - more than 600 that are positive: mirror descent, then, if at most 2000 are positive, the interior-point method.

    As soon as the gap is small enough, the running solver stops and no other one follows. Symbols that never occur are
    removed. The result is deterministic.

    Args:
        joint: Probabilities with axes (first source, second source, target), or a batch of such tables.
        tolerance: The solvers stop when ``gap`` is at most this many bits. If they cannot reach this, no error is
            raised, so look at the ``gap`` of the result.

    Returns:
        Atoms and gap in bits: floats for one joint, arrays for a batch.

    Raises:
        UserError: If ``joint`` is not a distribution or a batch of them, or the tolerance is not positive.
    """
    if not tolerance > 0:
        raise UserError(f"tolerance: expected a positive number of bits, got {tolerance}")
    return decompose_joints(joint, lambda table: _decompose(table, tolerance))


def _decompose(joint: Array, tolerance: float) -> PID:
    informations = Informations.from_joint(joint)
    bracket = bracket_optimum(joint, tolerance)
    # With target Y and sources T and S: the bracket bounds -H_Q(Y|T,S) in nats; adding H(Y) gives I_Q(Y;T,S).
    offset = entropy(joint.sum(axis=(0, 1))) - max(informations.first, informations.second)
    excess = min(max(bracket.upper / np.log(2) + offset, 0.0), informations.largest_excess)
    return informations.decompose(excess, gap=max(bracket.upper - bracket.lower, 0.0) / np.log(2) + _ROUNDING)


def bracket_optimum(joint: Array, tolerance: float) -> Bracket:
    """Compute an upper and a lower bound on the optimum of BROJA for one joint distribution.

    Args:
        joint: Probabilities with axes (first source, second source, target).
        tolerance: The solvers stop when the bounds differ by at most this many bits.

    Returns:
        The bounds on -H_Q(target | first, second), in nats; ``by_class`` has an entry for each symbol of the target
        that occurs.
    """
    for axis in range(3):
        joint = np.compress(joint.any(axis=tuple({0, 1, 2} - {axis})), joint, axis=axis)
    informations = Informations.from_joint(joint)
    if joint.shape[0] < joint.shape[1]:
        joint = joint.swapaxes(0, 1)
    first, second = joint.sum(axis=1), joint.sum(axis=0)
    # The first lower bound is the dual objective (see `Bracket`) at this feasible point: the variables of the more
    # informative source are log P(target | this source), those of the other source are 0. The objective there is
    # -H(target | more informative source).
    better = max((first, second), key=mutual_information)
    of_better = xlogy(better, better / better.sum(axis=1, keepdims=True)).sum(axis=0)
    largest = float(of_better.sum()) + informations.largest_excess * np.log(2)
    bracket = Bracket(first, second, by_class=of_better, upper=largest, tolerance=tolerance * np.log(2))
    size, positive = second.size, np.count_nonzero(second)
    # With probabilities far below 1e-16, the solvers may overflow; the bracket ignores bounds that are not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        if size > _SMALL >= positive:
            run_mirror_descent(bracket, steps=_FEW_STEPS)
        if positive <= _SMALL and not bracket.is_closed:
            run_interior_point(bracket)
        run_mirror_descent(bracket)
        if _SMALL < positive <= _LARGE and not bracket.is_closed:
            run_interior_point(bracket)
    return bracket
