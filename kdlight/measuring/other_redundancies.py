"""Compute redundant information by definitions other than BROJA's, to compare the results with BROJA's.

Redundant information is the information about a target that two sources share. BROJA is the partial information
decomposition of Bertschinger et al., 2014, which `kdlight.information.broja` computes.
"""

import numpy as np
import numpy.typing as npt

from kdlight.information.gaussian import gaussian_pid_of_symbols
from kdlight.information.intersection import intersection_information
from kdlight.information.redundancies import i_min, i_mmi

#: The intersection information is computed only if at most this many probabilities of the joint distribution are
#: positive. With 100 positive ones, it takes about a second.
MOST_CELLS = 100

#: The names of rows in printed tables, by the keys that `compute_other_redundancies` returns.
LABELS = {
    "redundant_i_min": "redundant by I_min",
    "redundant_mmi": "redundant by MMI",
    "redundant_gaussian": "redundant as if Gaussian",
    "redundant_intersection": "redundant by intersection, at least",
}


def compute_other_redundancies(joint: npt.NDArray[np.float64]) -> dict[str, float]:
    """Compute the redundant information by four other definitions, in bits, without bias correction.

    The result has these keys:

    - ``redundant_i_min``: I_min (Williams and Beer, 2010).
    - ``redundant_mmi``: the smaller one of the two sources' informations about the target (Barrett, 2015).
    - ``redundant_gaussian``: symbols are encoded as one-hot vectors. This is BROJA's redundancy of jointly Gaussian
      vectors with the covariance of the one-hot vectors. The key is left out if this covariance is singular, or if a
      source or the target has only one symbol.
    - ``redundant_intersection``: a lower bound of the intersection information. The intersection information, which the
      distillation method RID maximises, is at most BROJA's redundancy (arXiv 2411.07483, theorem 4.1). The bound is
      slow to compute, so the key is left out if more than `MOST_CELLS` of the probabilities are positive.

    Args:
        joint: Probabilities, axes (first source, second source, target).
    """
    values = {"redundant_i_min": i_min(joint).redundant, "redundant_mmi": i_mmi(joint).redundant}
    gaussian = gaussian_pid_of_symbols(joint)
    if gaussian is not None:
        values["redundant_gaussian"] = gaussian.redundant
    if np.count_nonzero(joint) <= MOST_CELLS:
        values["redundant_intersection"] = intersection_information(joint, starts=4)
    return values


def average(found: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each key's values over several ways of turning the same features into symbols.

    Args:
        found: The values by key, one dict for each way. A key that is missing in one of the dicts is left out.
    """
    names = [name for name in found[0] if all(name in values for values in found)]
    return {name: float(np.mean([values[name] for values in found])) for name in names}
