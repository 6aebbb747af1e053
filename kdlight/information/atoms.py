"""All that a report says about a histogram, by name."""

__all__ = ["estimated_atoms"]

import numpy as np
import numpy.typing as npt

from kdlight.information.broja_solver import broja
from kdlight.information.entropies import entropy
from kdlight.information.resampling import bootstrap


def estimated_atoms(
    counts: npt.NDArray[np.int64],
    *,
    names: tuple[str, str, str] = ("first", "second", "target"),
    tolerance: float = 1e-6,
    seed: int = 0,
) -> dict[str, float]:
    """The BROJA atoms of a histogram, their corrections and intervals, and what fractions they are.

    In bits, with the names of the sources A, B and of the target Y:

    - ``redundant``, ``unique_A``, ``unique_B``, ``synergistic``: of the histogram itself (plug-in). They are not
      negative and add up to ``information_A`` and ``information_B``; ``gap`` is their certified numerical error;
    - each with ``_corrected`` (for bias), ``_lower`` and ``_upper`` (95 %), see ``bootstrap``;
    - ``synergy_mostly_bias``: 1 where more than half of the synergy seems to be bias, else 0.

    Plug-in as fractions: each atom with ``_fraction_of_Y`` of the entropy H(Y), and ``redundant`` and ``unique_A`` with
    ``_fraction_of_A`` of the information I(Y; A), of which they are the parts. What is a fraction of nothing is 0.

    Args:
        counts: from ``joint_histogram``, axes (first source, second source, target).
        names: what to call them.
        tolerance: of the plug-in atoms, in bits.
        seed: of the resampling.

    Raises:
        UserError: as ``bootstrap``.

    Warns:
        UserWarning: as ``bootstrap``, where the samples are few.
    """
    first, second, target = names
    estimates = bootstrap(counts, seed=seed)
    pid = broja(counts / counts.sum(), tolerance=tolerance)
    atoms = ("redundant", f"unique_{first}", f"unique_{second}", "synergistic")
    report = dict(zip(atoms, map(float, pid[:4]), strict=True))
    of_first, of_target = float(pid.information_first), entropy(counts.sum(axis=(0, 1)) / counts.sum())
    report |= {f"information_{first}": of_first, f"information_{second}": float(pid.information_second)}
    report["gap"] = float(pid.gap)
    for atom, interval in zip(atoms, estimates[:4], strict=True):
        report[f"{atom}_corrected"] = interval.estimate
        report[f"{atom}_lower"], report[f"{atom}_upper"] = interval.lower, interval.upper
        report[f"{atom}_fraction_of_{target}"] = report[atom] / of_target if of_target else 0.0
    for atom in atoms[:2]:
        report[f"{atom}_fraction_of_{first}"] = report[atom] / of_first if of_first else 0.0
    report["synergy_mostly_bias"] = float(estimates.synergy_mostly_bias)
    return report
