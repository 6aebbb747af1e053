"""A primal-dual interior-point method that computes BROJA very accurately for tables of moderate size.

BROJA is the partial information decomposition of Bertschinger et al., 2014. It is defined by a minimum over joint
distributions Q of two sources T and S and a target Y; `Bracket` states this problem and its dual, which is solved here.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from kdlight.information.bracket import TINY, Bracket
from kdlight.information.entropies import Array

#: A step goes at most this fraction of the way to the point where a multiplier or a slack would become 0.
_TO_BOUNDARY = 0.9
#: After a step, the violation of a constraint may exceed its linear prediction by this much, in nats. The prediction is
#: not exact, because a step is straight and the constraints are curved.
_CURVATURE = 1.0
#: No entry of the dual variables a and b changes by more than this in one step, so that exp(a + b) does not overflow.
_LARGEST_MOVE = 50.0
#: The complementarity (the sum of multiplier times slack) that a step aims for is never below this fraction of the
#: tolerance: a smaller aim would only make the Newton matrix worse conditioned.
_LAST_TARGET = 0.1
#: Fractions by which the diagonal of the Newton matrix is increased. If rounding makes the matrix indefinite with one
#: fraction, the next one is tried.
_RIDGES = (1e-15, 1e-12, 1e-9)


class _Iterate(NamedTuple):
    """A point of the algorithm. Every array except `posterior` has the shape (T, S).

    a and b are the dual variables of `Bracket`. A pair (t, s) has no constraint if no class occurs both with t and with
    s.
    """

    posterior: Array
    """Q(y|t,s), shape (T, S, Y)."""
    multiplier: Array
    """Q(t,s)."""
    slack: Array
    """The positive slack in the constraint log sum_y exp(a + b) + slack = 0; 1 for pairs without a constraint."""
    violation: Array
    """The violation of the constraint, log sum_y exp(a + b) + slack; 0 for pairs without a constraint."""


class _Support:
    """The entries of the dual variables a (T, Y) and b (S, Y) that the solver changes.

    The entry a(t,y) changes only if the prescribed P(t,y) is positive, and b(s,y) only if P(s,y) is positive. A table
    that was counted from few samples is mostly zeros, so few entries change and the Newton matrix is small.

    Also, one entry of b is fixed for each class y, because adding a constant to a(:,y) and subtracting it from b(:,y)
    changes neither the objective nor the constraints.

    Attributes:
        classes: (T, M), the classes that each symbol of the first source occurs with. M is the largest number of such
            classes; rows with fewer are filled up with other classes.
        filled: (T, M), true where a class only fills up a row.
        of_source: (F,), the symbol of the second source to which each of the F changing entries of b belongs. The
            entries are sorted by this symbol.
        of_class: (F,), the class to which each of these entries of b belongs.
        same: (T, M, F), 1.0 where an entry of a and an entry of b belong to the same class.
        rows, columns: All pairs (i, j) of the F entries with ``of_source[i] == of_source[j]``: `rows` has each i,
            `columns` each j.
        gathered: (T, S, M), the places of the elements (t, s, classes[t]) in a flattened array (T, S, Y).
    """

    def __init__(self, first: Array, second: Array) -> None:
        positive = first > 0
        most = int(positive.sum(axis=1).max())
        self.classes = np.argsort(~positive, axis=1, kind="stable")[:, :most]
        self.filled = ~np.take_along_axis(positive, self.classes, axis=1)
        free = second > 0
        free[second.argmax(axis=0), np.arange(second.shape[1])] = False
        self.of_source, self.of_class = np.nonzero(free)
        self.same = ((self.classes[:, :, None] == self.of_class) & ~self.filled[:, :, None]).astype(np.float64)
        self.rows, self.columns = np.nonzero(self.of_source[:, None] == self.of_source)
        pairs = np.arange(len(first) * len(second)).reshape(len(first), -1, 1)
        self.gathered = pairs * second.shape[1] + self.classes[:, None]


class _Newton:
    """The equations for a step, linearised at an iterate and factorised.

    The unknowns are the changes of a and b on their support. With the vector q = Q(:|t,s), the constraint of a pair
    (t, s) adds ``multiplier * (diag(q) - q q') + multiplier / slack * q q'`` to the matrix, in the rows and columns of
    a(t,:) and b(s,:). The blocks of the first source, of size M, are eliminated, so that one matrix of size F remains
    (``_Support`` defines M and F).

    Raises:
        numpy.linalg.LinAlgError: If the matrix is not positive definite within rounding.
    """

    def __init__(self, bracket: Bracket, support: _Support, iterate: _Iterate, ridge: float) -> None:
        self._bracket, self._support, self._iterate = bracket, support, iterate
        posterior, multiplier, slack, _ = iterate
        of_source, of_class, filled = support.of_source, support.of_class, support.filled
        diagonal = np.arange(support.classes.shape[1])

        joint = multiplier[:, :, None] * posterior
        weighted = (multiplier / slack - multiplier)[:, :, None] * posterior
        by_class = posterior.take(support.gathered).swapaxes(1, 2)
        by_class[filled] = 0.0
        coupling = by_class.take(of_source, axis=2)
        coupling *= weighted[:, of_source, of_class][:, None]
        coupling += support.same * joint[:, of_source, of_class][:, None]
        first = by_class @ weighted.take(support.gathered)
        first[:, diagonal, diagonal] += joint.take(support.gathered).sum(axis=1)
        first[:, diagonal, diagonal] = np.where(filled, 1.0, first[:, diagonal, diagonal] * (1 + ridge))

        self._inverse = np.linalg.inv(np.linalg.cholesky(first))
        self._coupling = (self._inverse @ coupling).reshape(filled.size, len(of_source))
        schur = -(self._coupling.T @ self._coupling)
        second = posterior.transpose(1, 2, 0) @ weighted.transpose(1, 0, 2)
        every = np.arange(second.shape[1])
        second[:, every, every] = (1 + ridge) * (second[:, every, every] + joint.sum(axis=0))
        rows, columns = support.rows, support.columns
        schur[rows, columns] += second[of_source[rows], of_class[rows], of_class[columns]]
        self._factor, failed = dpotrf(schur.T, lower=1, overwrite_a=1)
        if failed:
            raise np.linalg.LinAlgError("not positive definite")

    def find_direction(self, target: Array) -> tuple[Array, Array, Array, Array]:
        """Return the changes of a, b, multiplier and slack in a Newton step towards P's marginals.

        Args:
            target: (T, S), the products multiplier * slack to aim for, divided by the present slack.
        """
        posterior, multiplier, slack, violation = self._iterate
        ratio = multiplier / slack
        aim = target + ratio * violation
        moved = aim[:, :, None] * posterior
        change_a, change_b = self._solve(
            self._bracket.first - moved.sum(axis=1), self._bracket.second - moved.sum(axis=0)
        )
        linear = np.einsum("tsy,tsy->ts", posterior, change_a[:, None] + change_b)
        change_slack = np.where(multiplier > 0, -violation - linear, 0.0)
        return change_a, change_b, aim + ratio * linear - multiplier, change_slack

    def _solve(self, first: Array, second: Array) -> tuple[Array, Array]:
        classes, filled = self._support.classes, self._support.filled
        entries = self._support.of_source, self._support.of_class
        kept = np.where(filled, 0.0, np.take_along_axis(first, classes, axis=1))
        reduced = (self._inverse @ kept[..., None]).reshape(-1)
        solution, _ = dpotrs(self._factor, second[entries] - reduced @ self._coupling, lower=1)
        reduced = (reduced - self._coupling @ solution).reshape(*kept.shape, 1)
        change_a, change_b = np.zeros_like(first), np.zeros_like(second)
        np.put_along_axis(change_a, classes, (self._inverse.swapaxes(1, 2) @ reduced)[..., 0], axis=1)
        change_b[entries] = solution
        return change_a, change_b


def _linearise(bracket: Bracket, support: _Support, iterate: _Iterate) -> _Newton | None:
    for ridge in _RIDGES:
        try:
            return _Newton(bracket, support, iterate, ridge)
        except np.linalg.LinAlgError:
            continue
    return None


def _find_longest_step(value: Array, change: Array) -> float:
    shrinking = change < 0
    return min(1.0, _TO_BOUNDARY * float((value[shrinking] / -change[shrinking]).min(initial=np.inf)))


def run_interior_point(bracket: Bracket, *, steps: int = 60) -> None:
    """Tighten the bracket by Mehrotra's predictor-corrector method (1992), applied to the dual stated in ``Bracket``.

    The multiplier of the constraint (t, s) is Q(t,s), so each iterate also gives a point of the primal problem:
    ``Q(t,s,y) = Q(t,s) exp(a + b) / sum_y exp(a + b)``. About ten steps usually bring the bounds within 1e-6 of each
    other, and a few more steps within 1e-9, for tables of any size. Let m and n be the numbers of positive entries of
    P(t,y) and P(s,y); elsewhere a and b stay at minus infinity. A step costs O(n^2 (m + n)) operations.

    If each class occurs with only one symbol of the second source, P(t,y) and P(s,y) determine Q. Then this function
    leaves the bounds as they are. `broja` calls mirror descent afterwards, which closes the bracket in few steps. If
    rounding errors leave no usable step, the method stops early and the bounds stay apart. That happens with
    probabilities far below 1e-16 or a tolerance near 1e-16.

    Args:
        bracket: The problem; its bounds are updated.
        steps: Largest number of steps.
    """
    first, second = bracket.first, bracket.second
    support = _Support(first, second)
    if support.of_source.size == 0:
        return  # each class has one symbol of the second source, so the tables determine Q
    with np.errstate(divide="ignore"):
        # Strictly feasible, since sum_y sqrt(P(y|t) P(y|s)) <= 1 (Bhattacharyya).
        a = 0.5 * np.log(first / first.sum(axis=1, keepdims=True)) - 0.25
        b = 0.5 * np.log(second / second.sum(axis=1, keepdims=True)) - 0.25
    exponential = np.exp(a[:, None] + b)
    total = exponential.sum(axis=2)
    # If no class occurs both with t and with s, this pair has probability zero in every Q, and no constraint.
    possible = total > 0
    total[~possible] = 1.0
    slack = np.where(possible, -np.log(total), 1.0)
    multiplier = possible / slack
    multiplier /= multiplier.sum()

    for _ in range(steps):
        bracket.tighten(np.exp(a), np.exp(b), multiplier / total)
        if bracket.is_closed:
            return
        violation = np.where(possible, np.log(total) + slack, 0.0)
        newton = _linearise(bracket, support, _Iterate(exponential / total[:, :, None], multiplier, slack, violation))
        if newton is None:
            return

        *_, change_multiplier, change_slack = newton.find_direction(np.zeros_like(slack))
        ahead_multiplier = multiplier + _find_longest_step(multiplier, change_multiplier) * change_multiplier
        ahead_slack = slack + _find_longest_step(slack, change_slack) * change_slack
        complementarity = float((multiplier * slack).sum())
        reduction = (float((ahead_multiplier * ahead_slack).sum()) / complementarity) ** 3
        centre = max(reduction * complementarity, _LAST_TARGET * bracket.tolerance) / possible.sum()
        step = newton.find_direction(np.where(possible, (centre - change_multiplier * change_slack) / slack, 0.0))
        if not all(np.isfinite(change).all() for change in step):
            return
        change_a, change_b, change_multiplier, change_slack = step

        multiplier = multiplier + _find_longest_step(multiplier, change_multiplier) * change_multiplier
        largest_move = max(np.abs(change_a).max(), np.abs(change_b).max())
        length = min(_find_longest_step(slack, change_slack), _LARGEST_MOVE / max(largest_move, _LARGEST_MOVE))
        while True:
            exponential = np.exp((a + length * change_a)[:, None] + (b + length * change_b))
            total = np.where(possible, np.maximum(exponential.sum(axis=2), TINY), 1.0)
            curvature = np.log(total) + slack + length * change_slack - (1 - length) * violation
            if curvature[possible].max() <= _CURVATURE:
                break
            length /= 2
        a, b, slack = a + length * change_a, b + length * change_b, slack + length * change_slack
