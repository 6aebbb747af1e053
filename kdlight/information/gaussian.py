"""Closed form of BROJA for jointly Gaussian variables.

BROJA is the partial information decomposition of Bertschinger et al., 2014 (arXiv:1311.2852). It splits what two
sources tell about a target into redundant, unique and synergistic information.
"""

__all__ = ["gaussian_pid", "gaussian_pid_of_symbols"]

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from kdlight.errors import UserError
from kdlight.information.decomposition import PID, Informations
from kdlight.information.entropies import Array, check_probabilities


def gaussian_pid(covariance: npt.ArrayLike, sizes: tuple[int, int, int]) -> PID:
    """Compute the BROJA decomposition of jointly Gaussian sources and target.

    BROJA is defined by a minimum over joint distributions Q (see `kdlight.information.broja`); here Q is restricted to
    Gaussian ones. Let l run over the generalised eigenvalues of Cov(target|second) relative to Cov(target|first). Then

        unique_first = 1/2 sum_l max(0, log2 l),    unique_second = 1/2 sum_l max(0, -log2 l).

    With a scalar target, there is only one l. The redundant information is then the minimum of I(target; first) and
    I(target; second), as in Barrett, 2015 (arXiv:1411.2832).

    Args:
        covariance: Joint covariance matrix. Its rows and columns are those of the first source, then those of the
            second source, then those of the target.
        sizes: Dimensions of the first source, the second source and the target.

    Returns:
        The atoms in bits. ``gap``, the bound on their error, is 0.

    Raises:
        UserError: If the number of rows is not the sum of ``sizes``, or if the matrix is not symmetric and positive
            definite. A singular matrix is refused, because then some variables determine others, and mutual
            informations can be infinite.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    if len(sizes) != 3 or min(sizes) < 1 or matrix.shape != (sum(sizes), sum(sizes)):
        raise UserError(
            f"covariance: expected a square matrix whose number of rows is the sum of three positive sizes, got shape "
            f"{matrix.shape} and sizes {sizes}"
        )
    if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T):
        raise UserError("covariance: expected a finite symmetric matrix; use for example numpy.cov(samples.T)")
    spread = np.sqrt(np.clip(np.diag(matrix), np.finfo(float).tiny, None))
    smallest = float(np.linalg.eigvalsh(matrix / np.outer(spread, spread)).min())
    if smallest < 1e-12:
        raise UserError(
            f"covariance: expected a positive definite matrix, got correlations with smallest eigenvalue "
            f"{smallest:.1e}; leave out variables that others determine"
        )
    first, second, target = np.split(np.arange(len(matrix)), np.cumsum(sizes)[:-1])
    marginal = matrix[np.ix_(target, target)]
    given_first = _compute_conditional(matrix, target, first)
    given_second = _compute_conditional(matrix, target, second)
    given_both = _compute_conditional(matrix, target, np.concatenate([first, second]))

    def compute_information(conditional: Array) -> float:
        ratio = np.linalg.slogdet(marginal)[1] - np.linalg.slogdet(conditional)[1]
        return max(0.0, float(0.5 * ratio / np.log(2)))

    informations = Informations.from_values(*map(compute_information, (given_first, given_second, given_both)))
    ratios = np.log2(eigh(given_second, given_first, eigvals_only=True))
    excess = 0.5 * min(float(np.maximum(ratios, 0).sum()), float(np.maximum(-ratios, 0).sum()))
    return informations.decompose(min(excess, informations.largest_excess))


def gaussian_pid_of_symbols(joint: npt.ArrayLike) -> PID | None:
    """Decompose discrete variables as if the indicators of their symbols were jointly Gaussian.

    A variable with k symbols becomes k - 1 indicators, one for each symbol but the last. An indicator is 1 for its
    symbol and 0 for all other symbols. The covariance describes only linear relations between indicators, so the result
    differs from the decomposition of the symbols themselves.

    Args:
        joint: Probabilities, axes (first source, second source, target).

    Returns:
        The atoms in bits; None if a variable has only one symbol that occurs. Also None if some indicators determine
        others, because their covariance is then singular.

    Raises:
        UserError: If ``joint`` is not a distribution.
    """
    table = check_probabilities(joint, dims=(3,), name="joint")
    table = table[np.ix_(*(table.sum(axis=axes) > 0 for axes in ((1, 2), (0, 2), (0, 1))))]
    sizes = tuple(count - 1 for count in table.shape)
    if min(sizes) < 1:
        return None
    cells = np.argwhere(table > 0)
    indicators = np.concatenate([np.eye(size + 1)[cells[:, place], :-1] for place, size in enumerate(sizes)], axis=1)
    try:
        return gaussian_pid(np.cov(indicators.T, aweights=table[table > 0], ddof=0), (sizes[0], sizes[1], sizes[2]))
    except UserError:  # the covariance is singular
        return None


def _compute_conditional(matrix: Array, target: npt.NDArray[np.intp], given: npt.NDArray[np.intp]) -> Array:
    cross = matrix[np.ix_(given, target)]
    return np.asarray(matrix[np.ix_(target, target)] - cross.T @ np.linalg.solve(matrix[np.ix_(given, given)], cross))
