"""What every partial information decomposition has in common: its atoms and the equations between them."""

__all__ = ["PID"]

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kdlight.information.entropies import Array, mutual_information, probabilities

#: A float, or an array with one entry for each joint of a batch.
Atom = Any


class PID(NamedTuple):
    """A partial information decomposition of I(target; first, second), in bits.

    Each field is a float, or an array with one entry for each joint of a batch.
    """

    redundant: Atom
    """What either source tells alone."""
    unique_first: Atom
    """What the first source alone tells."""
    unique_second: Atom
    """What the second source alone tells."""
    synergistic: Atom
    """What only both together tell."""
    gap: Atom
    """Certified: no atom is further than this from the optimum's."""

    @property
    def information_first(self) -> Atom:
        """I(target; first)."""
        return self.redundant + self.unique_first

    @property
    def information_second(self) -> Atom:
        """I(target; second)."""
        return self.redundant + self.unique_second

    @property
    def information(self) -> Atom:
        """I(target; first, second)."""
        return self.redundant + self.unique_first + self.unique_second + self.synergistic


class Informations(NamedTuple):
    """The three mutual informations that every decomposition must add up to, in bits."""

    first: float
    second: float
    both: float

    @classmethod
    def consistent(cls, first: float, second: float, both: float) -> "Informations":
        """Corrects rounding: by data processing, the pair is not below one of its members."""
        return cls(first, second, max(both, first, second))

    @classmethod
    def of(cls, joint: Array) -> "Informations":
        """Those of a joint distribution with axes (first source, second source, target)."""
        return cls.consistent(
            mutual_information(joint.sum(axis=1)),
            mutual_information(joint.sum(axis=0)),
            mutual_information(joint.reshape(-1, joint.shape[2])),
        )

    @property
    def largest_excess(self) -> float:
        """The largest ``excess`` for which no atom is negative."""
        return min(self.first, self.second, self.both - max(self.first, self.second))

    def decompose(self, excess: float, *, gap: float = 0.0) -> PID:
        """The atoms that add up to the informations.

        Args:
            excess: what the sources tell together without synergy, less what the better one tells alone; in bits, from
                0 to ``largest_excess``.
            gap: how far ``excess`` may be off, in bits.
        """
        return PID(
            redundant=min(self.first, self.second) - excess,
            unique_first=max(self.first - self.second, 0.0) + excess,
            unique_second=max(self.second - self.first, 0.0) + excess,
            synergistic=self.both - max(self.first, self.second) - excess,
            gap=gap,
        )


def decompose_joints(joint: npt.ArrayLike, decompose: Callable[[Array], PID]) -> PID:
    """Applies a decomposition to one joint or to each of a batch.

    Args:
        joint: probabilities, axes (first source, second source, target), with or without a leading batch axis.
        decompose: maps one valid joint to floats.

    Raises:
        UserError: if ``joint`` is not a distribution or a batch of them.
    """
    table = probabilities(joint, dims=(3, 4), name="joint")
    if table.ndim == 3:
        return decompose(table)
    return PID(*(np.array(atom) for atom in zip(*map(decompose, table), strict=True)))
