"""The picture of a run's confusion matrix for Weights & Biases."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure


def draw_confusion(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Figure:
    """Draw the confusion matrix: numbers of images by true class (row) and predicted class (column).

    Args:
        counts: Numbers of images, (classes, classes).
        names: Names of the classes; they are not drawn if there are more than 30.
    """
    figure = Figure(figsize=(7, 6), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(np.asarray(counts), cmap="Blues")
    figure.colorbar(image, label="test images")
    axis.set(xlabel="predicted", ylabel="class")
    if len(names) <= 30:
        axis.set_xticks(range(len(names)), names, rotation=90)
        axis.set_yticks(range(len(names)), names)
    return figure
