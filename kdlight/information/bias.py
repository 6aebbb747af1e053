"""The bias of plug-in informations, estimated from the counts.

A plug-in information is the mutual information of observed frequencies, taken as if they were the probabilities.
"""

import numpy as np
import numpy.typing as npt

#: `estimate_pid` corrects the bias of a plug-in information, but not completely. If the bias is at most this many bits,
#: the remainder is smaller than the half-width of the interval that `estimate_pid` reports.
LARGEST_CORRECTED_BIAS = 0.45
#: If the number of clusters of features is chosen automatically, the expected bias of I(class; cluster) may be at most
#: this, in bits. The limit is lower than `LARGEST_CORRECTED_BIAS`, because the number is chosen for the teacher's
#: features and then used for the student's, too. The student's images may fall into more cells of the table that counts
#: images by cluster and class than the teacher's. Then the student's bias is larger.
LARGEST_CHOSEN_BIAS = 0.2


def estimate_bias(table: npt.NDArray[np.int64]) -> float:
    """Estimate the bias, in bits, of the plug-in information between the two axes of a table of counts.

    The estimate is that of Miller and Madow. It is computed from how many cells, rows and columns of the table a sample
    can fall into. `estimate_cells` estimates these three numbers.
    """
    degrees = estimate_cells(table) - estimate_cells(table.sum(axis=1)) - estimate_cells(table.sum(axis=0)) + 1
    return max(degrees, 0.0) / (2 * int(table.sum()) * float(np.log(2)))


def estimate_cells(counts: npt.NDArray[np.int64]) -> float:
    """Estimate into how many cells of a table of counts a sample can fall, including cells that are still empty.

    The estimate is computed from how many cells contain any sample, exactly one and exactly two (Chao, 1984).
    """
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return min(np.count_nonzero(counts) + once * (once - 1) / (2 * (twice + 1)), float(counts.size))
