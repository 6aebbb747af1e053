"""Certified upper and lower bounds on the optimum of the minimisation that defines BROJA.

BROJA is the partial information decomposition (PID) of Bertschinger, Rauh, Olbrich, Jost and Ay. A PID splits what two
sources tell about a target into redundant, unique and synergistic information.
"""

import numpy as np
from scipy.special import xlogy

from kdlight.information.entropies import Array

#: Smallest divisor and smallest argument of a logarithm. Without this limit, some of them could underflow to 0.
TINY = 1e-300


class Bracket:
    """The interval in which the optimum of the BROJA problem is known to lie.

    P is the joint distribution of two sources T and S and a target Y. The problem is to minimise -H_Q(Y|T,S) over all
    joint distributions Q of T, S and Y with Q(t,y) = P(t,y) and Q(s,y) = P(s,y) (Bertschinger et al., 2014,
    arXiv:1311.2852). The dual problem has one variable for each entry of the two tables P(t,y) and P(s,y). The dual
    objective is linear, because -H_Q(Y|T,S) is homogeneous of degree one in Q:

        maximise  sum P(t,y) a(t,y) + sum P(s,y) b(s,y)  subject to  log sum_y exp(a(t,y) + b(s,y)) <= 0  for all t, s.

    A solver visits points of the form Q(t,s,y) = u(t,y) v(s,y) w(t,s). Each point also gives values of the dual
    variables, a = log u and b = log v. To get an upper bound, the point is scaled down until its marginals nowhere
    exceed P(t,y) and P(s,y), and the missing mass is added (Altschuler et al., 2017, arXiv:1705.09634, algorithm 2).
    Then the point is feasible, so its objective is an upper bound. To get a lower bound, a and b are shifted until the
    constraints hold. Both bounds are valid even if the point is far from the optimum. Q itself, of size |T||S||Y|, is
    never formed.

    Attributes:
        first: P(t,y), shape (T, Y), without empty rows or columns.
        second: P(s,y), shape (S, Y), without empty rows or columns.
        lower: Largest known lower bound, in nats.
        upper: Smallest known upper bound, in nats.
        tolerance: The bracket is closed when upper and lower bound differ by at most this, in nats.
        by_class: The part that each symbol y of the target contributes to the lower bound, in nats, shape (Y,).
    """

    def __init__(self, first: Array, second: Array, *, by_class: Array, upper: float, tolerance: float) -> None:
        self.first = first
        self.second = second
        self.by_class = by_class
        self.lower = float(by_class.sum())
        self.upper = upper
        self.tolerance = tolerance

    @property
    def is_closed(self) -> bool:
        """Whether the bounds are within the tolerance of each other."""
        return self.upper - self.lower <= self.tolerance

    def tighten(self, u: Array, v: Array, w: Array) -> float:
        """Compute the bounds of a point u(t,y) v(s,y) w(t,s), and keep those that are better than the known ones.

        Args:
            u: Shape (T, Y), zero where ``first`` is zero.
            v: Shape (S, Y), zero where ``second`` is zero.
            w: Shape (T, S).

        Returns:
            The distance between the two bounds of this point alone; infinite if computing them overflowed.
        """
        by_class, upper = self._bound_from_below(u, v), self._bound_from_above(u, v, w)
        lower = float(by_class.sum())
        if not np.isfinite(upper - lower):
            return np.inf
        if lower > self.lower:
            self.lower, self.by_class = lower, by_class
        self.upper = min(self.upper, upper)
        return upper - lower

    def _bound_from_below(self, u: Array, v: Array) -> Array:
        excess = np.log(np.maximum(u @ v.T, TINY))
        for_first = excess.max(axis=1, keepdims=True)
        for_second = (excess - for_first).max(axis=0)[:, None]
        of_first, of_second = xlogy(self.first, u) - self.first * for_first, xlogy(self.second, v)
        return np.asarray(of_first.sum(axis=0) + (of_second - self.second * for_second).sum(axis=0))

    def _bound_from_above(self, u: Array, v: Array, w: Array) -> float:
        u = u * np.minimum(1, self.first / np.maximum(u * (w @ v), TINY))
        v = v * np.minimum(1, self.second / np.maximum(v * (w.T @ u), TINY))
        first, second, mixture = u * (w @ v), v * (w.T @ u), u @ v.T
        scaled = xlogy(first, u).sum() + xlogy(second, v).sum() - (w * xlogy(mixture, mixture)).sum()
        # The marginals of the scaled point nowhere exceed P(t,y) and P(s,y). For each y, the missing mass is added as a
        # product of a function of t and a function of s. The objective is convex and homogeneous, so its value at a sum
        # is at most the sum of its values at the summands.
        first, second = np.maximum(self.first - first, 0), np.maximum(self.second - second, 0)
        mass = second.sum(axis=0)
        pairs = (first / np.maximum(mass, TINY)) @ second.T
        rest = xlogy(first, first).sum() + xlogy(second, second).sum() - xlogy(mass, mass).sum()
        return float(scaled + rest - xlogy(pairs, pairs).sum())
