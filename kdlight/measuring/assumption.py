"""Check RID's assumption that I(e; Y | f_s(S)) = 0, where e = f_t(T) - f_s(S).

RID is the distillation method of Dissanayake et al., AISTATS 2025 (arXiv 2411.07483). It learns a filter f_t of the
teacher's features T and a filter f_s of the student's features S. Y is the label, and e is called the residual.

RID maximises a lower bound of the redundant information, which is the information about Y that T and S share (section 4
of the paper). The bound holds under a constraint: f_t(T) must tell nothing about Y beyond what f_s(S) tells, that is,
I(Y; f_t(T) | f_s(S)) = 0. Because f_t(T) = f_s(S) + e, the constraint is equivalent to I(e; Y | f_s(S)) = 0. RID does
not enforce the constraint; it only keeps e small. A small e does not guarantee that the constraint is met.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kdlight.information.discretizer import Symbols
from kdlight.information.estimates import estimate_pid

Rows = npt.NDArray[np.floating]
#: The linear probe sees at most this many principal components of f_s(S), and at most this many of e.
COMPONENTS = 20


class ProbeSamples(NamedTuple):
    """Residuals e and the student's filtered features, (samples, …) each, and classes (samples,) of the same images."""

    residual: Rows
    student: Rows
    target: Symbols


def estimate_residual_information(
    residual: Symbols, student: Symbols, target: Symbols, seed: int = 0
) -> dict[str, float]:
    """Estimate I(e; Y | f_s(S)) and its interval, in bits, as `estimate_pid` does.

    If there are too few samples, return {}. Symbols are integers, such as cluster indices, that stand for features. A
    symbolisation is one way of turning the features into symbols, such as a clustering. All symbolisations are of the
    same samples.

    Args:
        residual: Symbols of e, (symbolisations, samples).
        student: Symbols of f_s(S), (symbolisations, samples).
        target: Classes, (samples,).
        seed: Seed of the random halves and quarters of the samples, from which `estimate_pid` computes the interval
            and the correction for bias.
    """
    found = estimate_pid(residual, student, target, seed=seed).information_first_given_second
    if not found.estimable:
        return {}
    parts = {"": found.value, "_lower": found.lower, "_upper": found.upper}
    return {f"assumption_information{part}": value for part, value in parts.items()}


def measure_residual_gain(fitted: ProbeSamples, counted: ProbeSamples) -> dict[str, float]:
    """Measure by how many bits e lowers the cross-entropy of a linear probe that already sees f_s(S).

    f_s(S) and e are reduced to at most 20 principal components each. Two linear probes (multinomial logistic
    regressions) predict Y: one sees the components of f_s(S), the other sees those of f_s(S) and of e. The gain is the
    cross-entropy of the first probe minus that of the second, on images on which no probe was fitted. If a linear probe
    can read nothing new from e, the expected gain is 0 or, because the second probe overfits more, negative. The
    returned interval is for the same two probes: if their gain is measured again, on equally many other images, the
    new value lies in the interval in 95 of 100 cases.

    Args:
        fitted: Samples of the images on which the principal components and the probes are fitted.
        counted: Samples of other images, on which the cross-entropies are measured.
    """
    from sklearn.decomposition import PCA

    sides = []
    for of_fitted, of_counted in ((fitted.student, counted.student), (fitted.residual, counted.residual)):
        rows, others = (side.reshape(len(side), -1) for side in (of_fitted, of_counted))
        components = PCA(min(COMPONENTS, *rows.shape), random_state=0).fit(rows)
        scale = np.sqrt(np.maximum(components.explained_variance_[0], 1e-12))
        sides.append((components.transform(rows) / scale, components.transform(others) / scale))
    (student, student_counted), (residual, residual_counted) = sides
    alone = _compute_cross_entropies(student, fitted.target, student_counted, counted.target)
    both = _compute_cross_entropies(
        np.hstack([student, residual]), fitted.target, np.hstack([student_counted, residual_counted]), counted.target
    )
    gain = alone - both
    middle = float(gain.mean())
    half = 1.96 * float(np.sqrt(2 * gain.var(ddof=1) / len(gain)))
    return {
        "assumption_probe": middle,
        "assumption_probe_lower": middle - half,
        "assumption_probe_upper": middle + half,
    }


def _compute_cross_entropies(rows: Rows, target: Symbols, counted: Rows, classes: Symbols) -> npt.NDArray[np.float64]:
    """Fit a logistic regression on `rows`, and return its cross-entropy, in bits, for each of the `counted` rows.

    Probabilities below 1 / (number of fitted samples + 1) are raised to this value, so that every cross-entropy is
    finite. If all fitted samples are of one class, zeros are returned.
    """
    from sklearn.linear_model import LogisticRegression

    known = np.unique(target)
    if len(known) < 2:
        return np.zeros(len(classes))
    probabilities = LogisticRegression(max_iter=2_000).fit(rows, target).predict_proba(counted)
    least = 1 / (len(target) + 1)
    place = np.searchsorted(known, classes).clip(0, len(known) - 1)
    right = np.where(known[place] == classes, probabilities[np.arange(len(classes)), place], least)
    return np.asarray(-np.log2(np.maximum(right, least)))
