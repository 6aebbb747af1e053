"""The bias of plug-in informations, estimated from the counts."""

import numpy as np
import numpy.typing as npt

#: Largest expected bias of a plug-in information, in bits, for which the remaining bias is within the interval.
LARGEST_CORRECTED_BIAS = 0.45
#: The same limit for choosing the number of clusters. It is lower, because the number is chosen from the teacher's
#: features, and the student's symbols may occupy more cells than the teacher's.
LARGEST_CHOSEN_BIAS = 0.2


def estimate_bias(table: npt.NDArray[np.int64]) -> float:
    """Estimate the bias, in bits, of the plug-in information between both axes of a table of counts (Miller and Madow).

    The bias depends on the number of cells that can occur, which is estimated by the method of Chao, 1984.
    """
    degrees = estimate_cells(table) - estimate_cells(table.sum(axis=1)) - estimate_cells(table.sum(axis=0)) + 1
    return max(degrees, 0.0) / (2 * int(table.sum()) * float(np.log(2)))


def estimate_cells(counts: npt.NDArray[np.int64]) -> float:
    """Estimate how many cells can occur from the cells seen once and twice (Chao, 1984); at most the table's size."""
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return min(np.count_nonzero(counts) + once * (once - 1) / (2 * (twice + 1)), float(counts.size))
