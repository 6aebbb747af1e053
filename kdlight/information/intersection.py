"""Intersection information, which the distillation method RID maximises. It is a lower bound of redundant information.

RID: Dissanayake et al., AISTATS 2025, arXiv 2411.07483.
"""

__all__ = ["intersection_information"]

import numpy as np
import numpy.typing as npt

from kdlight.information.entropies import Array, check_probabilities

#: The search from one start ends when a step gains less than this, in bits.
_CONVERGED = 1e-9
#: Smallest argument of a logarithm and smallest divisor.
_TINY = 1e-12


def intersection_information(
    joint: npt.ArrayLike, *, symbols: int | None = None, starts: int = 16, seed: int = 0
) -> float:
    """Compute a lower bound of the intersection information I_alpha of Griffith and Ho, in bits.

    Let Y be the target, T and S the sources, and Q a variable with any distribution given T, S and Y. By definition 4.1
    of the RID paper (arXiv 2411.07483), I_alpha is the maximum of I(Y;Q) over all Q with I(Y;Q|T) = 0 and I(Y;Q|S) = 0.
    It is at most the redundant information of BROJA, the partial information decomposition of Bertschinger et al., 2014
    (theorem 4.1 of the RID paper).

    The unknowns are m_q(t,s,y) = P(q,t,s,y). Both constraints are linear in these unknowns, and so is the condition
    that the sum of m_q over q is P(t,s,y). The objective I(Y;Q) is convex and homogeneous. Each step solves a linear
    program, whose objective is the tangent of I(Y;Q) at the last point. A convex function lies above its tangents, so
    I(Y;Q) never decreases. A convex function can have several local maxima, so the search starts at several random
    points and returns the best result. Every result is a lower bound, because its Q satisfies the constraints. The
    linear program has ``symbols`` unknowns for each positive cell of the joint, so use this function for small tables.

    Args:
        joint: Probabilities, axes (first source, second source, target).
        symbols: Number of symbols of Q; by default as many as the target has.
        starts: Number of random starts.
        seed: Seed of the starts.

    Raises:
        UserError: If ``joint`` is not a distribution.
    """
    from scipy.optimize import linprog  # imported here: slow to import, and rarely used
    from scipy.sparse import block_diag, csr_array, hstack, identity, vstack

    table = check_probabilities(joint, dims=(3,), name="joint")
    cells = np.argwhere(table > 0)
    mass = table[table > 0]
    classes = table.shape[2]
    count = symbols or classes
    rows = [_build_posterior_constraints(table.sum(axis=1 - side), cells, side) for side in (0, 1)]
    constraints = csr_array(np.concatenate(rows))
    equal = vstack([block_diag([constraints] * count), hstack([identity(len(mass))] * count)], format="csr")
    right = np.concatenate([np.zeros(constraints.shape[0] * count), mass])
    of_class = csr_array((np.ones(len(mass)), (cells[:, 2], np.arange(len(mass)))), shape=(classes, len(mass)))
    frequency = table.sum(axis=(0, 1))
    rng, best = np.random.default_rng(seed), 0.0
    for _ in range(starts):
        objective, value = rng.standard_normal((count, len(mass))), -np.inf
        while True:
            solved = linprog(-objective.ravel(), A_eq=equal, b_eq=right, bounds=(0, None), method="highs")
            if solved.x is None:
                break
            found = np.maximum(of_class @ solved.x.reshape(count, -1).T, 0).T
            total = found.sum(axis=1, keepdims=True) * frequency
            ratio = np.divide(found, total, out=np.ones_like(found), where=total > _TINY)
            slope = np.log2(np.maximum(ratio, _TINY))
            reached = float((found * slope).sum())
            if reached <= value + _CONVERGED:
                break
            value, objective = reached, slope[:, cells[:, 2]]
        best = max(best, value)
    return best


def _build_posterior_constraints(pair: Array, cells: npt.NDArray[np.int64], side: int) -> Array:
    """Return the constraints m(x, y) - P(y|x) m(x) = 0 on m = m_q for one symbol q of Q.

    Here x is a symbol of the source that `side` selects, y is a class, and m(x, y) and m(x) are marginals of m. Each
    pair (x, y) has one row. Each positive cell of the joint has one column.

    Args:
        pair: P(x, y).
        cells: The cells of the joint that are positive, (cells, 3).
        side: 0 for the first source, 1 for the second.
    """
    posterior = pair / np.maximum(pair.sum(axis=1, keepdims=True), _TINY)
    rows = np.zeros((*pair.shape, len(cells)))
    place = np.arange(len(cells))
    rows[cells[:, side], cells[:, 2], place] = 1
    for label in range(pair.shape[1]):
        rows[cells[:, side], label, place] -= posterior[cells[:, side], label]
    return rows.reshape(-1, len(cells))
