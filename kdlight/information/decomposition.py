"""The atoms of a partial information decomposition (PID), and the equations that they satisfy.

A PID splits what two sources tell about a target into redundant, unique and synergistic information. These parts are
called its atoms.
"""

__all__ = ["PID"]

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kdlight.information.entropies import Array, check_probabilities, mutual_information

#: A float, or an array with one entry for each joint distribution of a batch.
Atom = Any


class PID(NamedTuple):
    """A partial information decomposition of I(target; first, second), in bits.

    Each field is a float, or an array with one entry for each joint distribution of a batch.
    """

    redundant: Atom
    """Information that both sources provide, each one on its own."""
    unique_first: Atom
    """Information that only the first source provides."""
    unique_second: Atom
    """Information that only the second source provides."""
    synergistic: Atom
    """Information that only both sources together provide."""
    gap: Atom
    """Certified bound on the error of each atom, in bits."""

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
    """I(target; first), I(target; second) and I(target; first, second), in bits.

    In every decomposition, each of the three is the sum of certain atoms (see the properties of `PID`).
    """

    first: float
    second: float
    both: float

    @classmethod
    def from_values(cls, first: float, second: float, both: float) -> "Informations":
        """Make informations from values with rounding errors: raise ``both`` to at least ``first`` and ``second``."""
        return cls(first, second, max(both, first, second))

    @classmethod
    def from_joint(cls, joint: Array) -> "Informations":
        """Compute the informations of a joint distribution with axes (first source, second source, target)."""
        return cls.from_values(
            mutual_information(joint.sum(axis=1)),
            mutual_information(joint.sum(axis=0)),
            mutual_information(joint.reshape(-1, joint.shape[2])),
        )

    @property
    def largest_excess(self) -> float:
        """The largest ``excess`` (see `decompose`) for which no atom is negative."""
        return min(self.first, self.second, self.both - max(self.first, self.second))

    def decompose(self, excess: float, *, gap: float = 0.0) -> PID:
        """Return the atoms that add up to the informations and have the given excess.

        Args:
            excess: The sum of the redundant and the two unique atoms, minus the larger of ``first`` and ``second``, in
                bits; from 0 to ``largest_excess``.
            gap: Largest possible error of ``excess``, in bits.
        """
        return PID(
            redundant=min(self.first, self.second) - excess,
            unique_first=max(self.first - self.second, 0.0) + excess,
            unique_second=max(self.second - self.first, 0.0) + excess,
            synergistic=self.both - max(self.first, self.second) - excess,
            gap=gap,
        )


def decompose_joints(joint: npt.ArrayLike, decompose: Callable[[Array], PID]) -> PID:
    """Apply a decomposition to one joint distribution, or to each of a batch.

    Args:
        joint: Probabilities with the axes (first source, second source, target), with or without a leading batch axis.
        decompose: A function that decomposes one valid joint distribution into floats.

    Raises:
        UserError: If ``joint`` is not a distribution or a batch of them.
    """
    table = check_probabilities(joint, dims=(3, 4), name="joint")
    if table.ndim == 3:
        return decompose(table)
    return PID(*(np.array(atom) for atom in zip(*map(decompose, table), strict=True)))
