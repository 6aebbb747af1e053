"""Check the assumption of the distillation method RID that I(e; Y | f_s(S)) = 0, where e = f_t(T) - f_s(S).

RID learns filters, f_t of the teacher's features T and f_s of the student's features S. Y is the label, and e is called
the residual. Dissanayake et al., AISTATS 2025 (arXiv 2411.07483), section 4: RID maximises a lower bound of the
redundant information, which is the information about Y that T and S share. This has a constraint: f_t(T) must tell
nothing about Y beyond f_s(S), that is, I(Y; f_t(T) | f_s(S)) = 0. RID replaces this constraint by a small distance
between f_t(T) and f_s(S). Because f_t(T) = f_s(S) + e, the constraint is equivalent to I(e; Y | f_s(S)) = 0. A small e
does not guarantee this.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kdlight.information.discretizer import Symbols
from kdlight.information.estimates import estimate_pid

Rows = npt.NDArray[np.floating]
#: How many principal components of f_s(S), and how many of e, the linear probe sees.
COMPONENTS = 20


class ProbeSamples(NamedTuple):
    """Residuals e and the student's filtered features, (samples, …) each, and classes (samples,) of the same images."""

    residual: Rows
    student: Rows
    target: Symbols


def estimate_residual_information(
    residual: Symbols, student: Symbols, target: Symbols, seed: int = 0
) -> dict[str, float]:
    """Estimate I(e; Y | f_s(S)) in bits, with its interval, from symbols. If there are too few samples, return {}.

    Symbols are integers, such as cluster indices, that stand for features. Each symbolisation is another clustering
    of the same samples.

    Args:
        residual: Symbols of e, (symbolisations, samples).
        student: Symbols of f_s(S), (symbolisations, samples).
        target: Classes, (samples,).
        seed: Seed of the random halves and quarters of the samples, by which `estimate_pid` corrects the bias.
    """
    found = estimate_pid(residual, student, target, seed=seed).information_first_given_second
    if not found.estimable:
        return {}
    parts = {"": found.value, "_lower": found.lower, "_upper": found.upper}
    return {f"assumption_information{part}": value for part, value in parts.items()}


def measure_residual_gain(fitted: ProbeSamples, counted: ProbeSamples) -> dict[str, float]:
    """Measure by how many bits e lowers the cross-entropy of a linear probe that already sees f_s(S).

    f_s(S) and e are reduced to at most 20 principal components each. One multinomial logistic regression is fitted on
    the components of both, another one on those of f_s(S) alone. They are compared on images on which neither was
    fitted. If a linear probe cannot read anything new from e, the expected difference is 0, or negative because the
    probe that also sees e overfits more. The interval means the same as in `estimate_pid`: if the measurement is
    repeated on other images, its value lies in the interval in 95 of 100 cases.

    Args:
        fitted: Images on which components and probes are fitted.
        counted: Other images, on which the cross-entropies are measured.
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

    No probability counts as less than 1 / (number of fitted samples + 1), so that no cross-entropy is infinite.
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
