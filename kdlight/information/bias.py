"""The bias of plug-in informations, estimated from the counts.

A plug-in information is the mutual information of observed frequencies, taken as if they were the probabilities.
"""

import numpy as np
import numpy.typing as npt

#: If the bias of a plug-in information is at most this many bits, what remains of it after the correction in
#: `estimate_pid` is smaller than the half-width of the interval that `estimate_pid` reports.
LARGEST_CORRECTED_BIAS = 0.45
#: If the number of clusters of features is chosen automatically, the expected bias of the information that the cluster
#: indices have about the class may be at most this, in bits. The limit is lower than `LARGEST_CORRECTED_BIAS`,
#: because the number is chosen for the teacher's features and then used for the student's, too. In the table that
#: counts images by cluster and class, the student's clusters may occupy more cells, and then the bias is larger.
LARGEST_CHOSEN_BIAS = 0.2


def estimate_bias(table: npt.NDArray[np.int64]) -> float:
    """Estimate the bias, in bits, of the plug-in information between the two axes of a table of counts.

    This is the estimate of Miller and Madow. It depends on the numbers of cells, rows and columns of the table into
    which a sample can fall. `estimate_cells` estimates these numbers.
    """
    degrees = estimate_cells(table) - estimate_cells(table.sum(axis=1)) - estimate_cells(table.sum(axis=0)) + 1
    return max(degrees, 0.0) / (2 * int(table.sum()) * float(np.log(2)))


def estimate_cells(counts: npt.NDArray[np.int64]) -> float:
    """Estimate into how many cells of a table of counts a sample can fall, including cells that are still empty.

    The estimate is computed from how many cells contain any sample, exactly one and exactly two (Chao, 1984).
    """
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return min(np.count_nonzero(counts) + once * (once - 1) / (2 * (twice + 1)), float(counts.size))
