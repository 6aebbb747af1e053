"""Compute how much each class contributes to each atom of a partial information decomposition."""

__all__ = ["ClassTerms", "broja_by_class"]

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kdlight.information.broja_solver import bracket_optimum
from kdlight.information.entropies import Array, check_probabilities, split_information


class ClassTerms(NamedTuple):
    """The contributions of each symbol of the target to the atoms, in bits, (target symbols,); they may be negative."""

    redundant: Array
    unique_first: Array
    unique_second: Array
    synergistic: Array


def broja_by_class(joint: npt.ArrayLike, *, tolerance: float = 1e-4) -> ClassTerms:
    """Divide the BROJA atoms among the target's symbols.

    Every information is a mean over the target's symbols: I(Y;T) = sum_y P(y) KL(P(t|y) || P(t)). Let I_u be the least
    information that both sources can have together; its terms are P(y) KL(Q(t,s|y) || Q(t,s)) with the optimal Q. Where
    Q is positive, log Q(y|t,s) = a(t,y) + b(s,y) with the optimal point (a, b) of the dual, so the term is
    sum_t P(t,y) a(t,y) + sum_s P(s,y) b(s,y) - P(y) log P(y), which does not need Q. The atoms are sums and differences
    of the informations, and so are their terms.

    Args:
        joint: Probabilities, axes (first source, second source, target).
        tolerance: The gap in bits to aim for, as in `broja`. The terms of all symbols add up to the atoms up to this
            gap.

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
