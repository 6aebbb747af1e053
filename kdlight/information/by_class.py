"""Compute how much each class, that is each symbol of the target, contributes to the atoms of BROJA.

BROJA is the partial information decomposition of Bertschinger et al., 2014, that `kdlight.information.broja` computes.
Its atoms are the redundant, the two unique and the synergistic information of two sources about a target.
"""

__all__ = ["ClassTerms", "broja_by_class"]

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kdlight.information.broja_solver import bracket_optimum
from kdlight.information.entropies import Array, check_probabilities, split_information


class ClassTerms(NamedTuple):
    """What each symbol of the target contributes to each atom, in bits: arrays (target symbols,).

    A contribution may be negative.
    """

    redundant: Array
    unique_first: Array
    unique_second: Array
    synergistic: Array


def broja_by_class(joint: npt.ArrayLike, *, tolerance: float = 1e-4) -> ClassTerms:
    """Divide the BROJA atoms among the target's symbols.

    Let Y be the target, T and S the sources, and P their joint distribution. Every mutual information with Y is a
    sum of terms, one for each symbol y of the target. For example, ``I(Y;T) = sum_y P(y) KL(P(t|y) || P(t))``. BROJA
    minimises I_Q(Y;T,S) over the joint distributions Q whose tables Q(t,y) and Q(s,y) are those of P. The terms of this
    minimum are ``P(y) KL(Q(t,s|y) || Q(t,s))`` with the optimal Q. Let (a, b) be the optimal point of the dual problem,
    which `kdlight.information.bracket` states. Then ``log Q(y|t,s) = a(t,y) + b(s,y)`` wherever Q is positive. So the
    term of y in the minimum equals

        sum_t P(t,y) a(t,y) + sum_s P(s,y) b(s,y) - P(y) log P(y),

    which can be computed without Q. Each atom is a sum or difference of some of these four: I(Y;T), I(Y;S), I(Y;T,S)
    and the minimum. The same sum or difference of their terms gives the atom's terms. For example, the unique atom of T
    is the minimum minus I(Y;S), so its term of y is the minimum's term of y minus that of I(Y;S).

    Args:
        joint: Probabilities, axes (first source, second source, target).
        tolerance: The solver stops when its bound on the error is at most this many bits. Then the terms of all symbols
            add up to each atom with at most this error. If the solver cannot reach the tolerance, it raises nothing,
            and the sums may be less accurate.

    Raises:
        UserError: If ``joint`` is not a distribution.
    """
    table = check_probabilities(joint, dims=(3,), name="joint")
    first, second, both = (
        split_information(part) for part in (table.sum(axis=1), table.sum(axis=0), _flatten_sources(table))
    )
    occurs = table.any(axis=(0, 1))
    union = np.zeros(table.shape[2])
    union[occurs] = bracket_optimum(table, tolerance).by_class / np.log(2)
    frequency = table.sum(axis=(0, 1))
    union[occurs] -= frequency[occurs] * np.log2(frequency[occurs])
    return ClassTerms(
        redundant=first + second - union,
        unique_first=union - second,
        unique_second=union - first,
        synergistic=both - union,
    )


def _flatten_sources(table: Array) -> Array:
    return table.reshape(-1, table.shape[2])
