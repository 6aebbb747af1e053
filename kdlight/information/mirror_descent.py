"""Compute BROJA by mirror descent, for distributions that are too large for Newton steps.

BROJA is the partial information decomposition of Bertschinger et al., 2014. It is defined by a minimum over joint
distributions Q of two sources T and S and a target Y; `Bracket` states this problem. Mirror descent never forms Q, but
computes with three factors of Q.
"""

import numpy as np

from kdlight.information.bracket import TINY, Bracket

#: The silver ratio, from which the step lengths are computed.
_SILVER = 1 + 2**0.5
#: A schedule (see `run_mirror_descent`) has at most 2 ** _DEEPEST - 1 steps. Its longest step has the length
#: 1 + _SILVER ** (_DEEPEST - 2).
_DEEPEST = 8
#: The logarithm of an entry of the kernel w (see `run_mirror_descent`) changes by at most this in one step.
_LARGEST_CHANGE = 1.0
#: Smallest entry of the kernel w. Without this limit, entries that vanish at the optimum would become denormal numbers,
#: which are slow to compute with.
_SMALLEST = 1e-100


def run_mirror_descent(bracket: Bracket, *, steps: int = 20_000) -> None:
    """Tighten the bracket by over-relaxed alternating minimisation.

    Banerjee, Rauh and Montufar, 2018 (arXiv:1709.07487) minimise KL(Q || Q') alternately over Q and Q'. Q has the given
    marginals P(t,y) and P(s,y). Q' is P(t,y) w(t,s), with a kernel w that is the same for all symbols y of the target.
    Here, one sweep of Sinkhorn's algorithm replaces the exact minimum over Q. It keeps Q a product u(t,y) v(s,y)
    w(t,s), so a step is three matrix products and never forms Q.

    With exact minima, the scheme is mirror descent on w with steps of length 1, and its error after k steps falls like
    1/k. Over-relaxation means longer steps. The silver schedule (Altschuler and Parrilo, 2023, arXiv:2309.16530) gives
    step k the length ``1 + r^(i - 1)``, where r = 1 + sqrt 2, and 2^i is the largest power of two that divides k. With
    this schedule the error of Euclidean gradient descent falls like 1/k^1.27; for mirror descent, this rate is not
    proven.

    Therefore the steps are taken in schedules of at most 255 steps, and the bounds are computed after each schedule. A
    schedule is kept if its bounds are closer together than those of the previously kept schedule; then a schedule with
    more steps follows. Otherwise the schedule is undone, and one with fewer and shorter steps follows. A schedule of a
    single step is never undone.

    Args:
        bracket: The problem, and the bounds of its optimum, which are updated.
        steps: After this many steps, no further schedule begins.
    """
    first, second = bracket.first, bracket.second
    v, w = second, first @ np.diag(1 / second.sum(axis=0)) @ second.T
    best, accepted, depth, taken = np.inf, (v, w), 3, 0
    while taken < steps and not bracket.is_closed:
        for step in range(1, 2**depth):
            u = first / np.maximum(w @ v, TINY)
            v = second / np.maximum(w.T @ u, TINY)
            length = 1 + _SILVER ** ((step & -step).bit_length() - 2)
            change = length * np.log(np.maximum(u @ v.T, TINY))
            w = np.maximum(w * np.exp(np.clip(change, -_LARGEST_CHANGE, _LARGEST_CHANGE)), _SMALLEST)
        taken += 2**depth - 1
        u = first / np.maximum(w @ v, TINY)
        v = second / np.maximum(w.T @ u, TINY)
        width = bracket.tighten(u, v, w)
        if width < best or (depth == 1 and np.isfinite(width)):
            best, accepted, depth = width, (v, w), min(depth + 1, _DEEPEST)
        elif depth == 1:
            return
        else:
            (v, w), depth = accepted, max(depth - 2, 1)
