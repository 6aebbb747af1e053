"""Time kdlight's BROJA solver and two others: ``python -m kdlight.workbench.pid_study.solver_benchmark``.

A partial information decomposition splits what two variables, the sources, tell about a third one, the target, into
redundant information (both sources tell it), unique information of each source (only this source tells it), and
synergistic information (only both together tell it). BROJA is the decomposition that Bertschinger et al. defined in
2014 (arXiv 1311.2852).

The command prints a table of CPU seconds, summed over all cores. Two other solvers are timed if they are installed
(``pip install -e '.[bench]'``). One solves the cone program of the library dit. The other solves the optimisation
problem of the authors of RID (a distillation method, arXiv 2411.07483). The RID authors' problem is rewritten in cvxpy
from its formula and solved twice: by the solver that cvxpy chooses, and by SCS, which the authors use.

The column "gap" is an upper bound, in bits, on the error of kdlight's result. kdlight's solver certifies this bound.
The column "error" is the difference, in bits, between a solver's redundant information and that of a reference. The
reference is a more exact solution by kdlight's solver, with a gap of 1e-9 bits. The reference is not computed for joint
distributions of more than 25,000 cells.
"""

import argparse
import functools
import importlib
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from kdlight.information.broja_solver import broja
from kdlight.information.entropies import Array, mutual_information
from kdlight.workbench.pid_study.joints import make_peaked, make_sparse

#: How many values the target, the first source and the second source have, and the gap, in bits, at which kdlight's
#: solver stops.
SIZES = (
    ((2, 2, 2), 1e-6),
    ((4, 4, 4), 1e-6),
    ((10, 10, 10), 1e-6),
    ((10, 20, 20), 1e-6),
    ((10, 50, 50), 1e-6),
    ((100, 50, 50), 1e-4),
    ((100, 100, 100), 1e-4),
)
BATCH = 100
#: How many times `PIDMonitor` turns features into symbols, each time with other clusters.
REPEATS = 5


class TimedCall(NamedTuple):
    """The CPU seconds of a function's fastest call, and the function's result."""

    seconds: float
    result: Any


def time_call(function: Callable[[], Any], *, least: float = 0.3) -> TimedCall:
    """Call a function until its calls have taken ``least`` CPU seconds in all; return the fastest call's time."""
    best, spent, result = float("inf"), 0.0, None
    while result is None or spent < least:
        started = time.process_time()
        result = function()
        seconds = time.process_time() - started
        best, spent = min(best, seconds), spent + max(seconds, 1e-6)
    return TimedCall(best, result)


def solve_by_cvxpy(joint: Array, solver: str | None) -> float:
    """Compute the redundant information in bits by the RID authors' optimisation problem.

    The problem minimises ``sum_y rel_entr(Q_y, sum_y' Q_y' / |Y|)``, in nats, over distributions Q. |Y| is the number
    of the target's values, and Q_y is the table Q(first, second, y) for the value y. The constraints are
    Q(first, y) = P(first, y) and Q(second, y) = P(second, y), where P is ``joint``. The RID authors took this problem
    from Liang et al., 2023 (arXiv 2302.12247).

    Args:
        joint: Axes (first source, second source, target).
        solver: Name of a solver of cvxpy; None: cvxpy chooses one.
    """
    cvxpy = importlib.import_module("cvxpy")
    classes = joint.shape[2]
    tables = [cvxpy.Variable(joint.shape[:2], nonneg=True) for _ in range(classes)]
    mean = sum(tables) / classes
    divergence = sum(cvxpy.sum(cvxpy.rel_entr(table, mean)) for table in tables)
    constraints = [cvxpy.sum(sum(tables)) == 1]
    for label, table in enumerate(tables):
        constraints.append(cvxpy.sum(table, axis=1) == joint[:, :, label].sum(axis=1))
        constraints.append(cvxpy.sum(table, axis=0) == joint[:, :, label].sum(axis=0))
    cvxpy.Problem(cvxpy.Minimize(divergence), constraints).solve(solver=solver)
    found = np.stack([np.maximum(table.value, 0) for table in tables], axis=2)
    found /= found.sum()
    together = mutual_information(found.reshape(-1, classes))
    return mutual_information(found.sum(axis=1)) + mutual_information(found.sum(axis=0)) - together


def solve_by_dit(joint: Array) -> float:
    """Compute the redundant information in bits by dit's cone program (Makkeh et al., 2018)."""
    dit = importlib.import_module("dit")
    symbols = [[f"{place:03d}" for place in range(size)] for size in joint.shape]
    places = np.argwhere(joint > 0)
    outcomes = [tuple(names[place] for names, place in zip(symbols, cell, strict=True)) for cell in places]
    distribution = dit.Distribution(outcomes, joint[joint > 0])
    unique = dit.pid.PID_BROJA._measure(distribution, ((0,), (1,)), (2,), method="cone")
    return mutual_information(joint.sum(axis=1)) - float(unique[(0,)])


def list_rivals() -> dict[str, Callable[[Array], float]]:
    """Return the other solvers that are installed, by name."""
    found: dict[str, Callable[[Array], float]] = {}
    if importlib.util.find_spec("cvxpy") is not None:
        found["RID authors' program, cvxpy"] = functools.partial(solve_by_cvxpy, solver=None)
        found["RID authors' program, cvxpy, SCS"] = functools.partial(solve_by_cvxpy, solver="SCS")
    if importlib.util.find_spec("dit") is not None and importlib.util.find_spec("ecos") is not None:
        found["dit, cone"] = solve_by_dit
    for solve in found.values():
        solve(make_sparse(2, 2, seed=3))  # this call imports what the solver needs, so that the imports are not timed
    return found


def time_solvers(largest_rival: int) -> Iterator[str]:
    """Yield the rows of the table, in Markdown.

    Args:
        largest_rival: The other solvers are timed on joint distributions of up to this many cells. On large
            distributions they need minutes and gigabytes.
    """
    yield "| target x first x second | joint | solver | seconds | gap | error | times kdlight |"
    yield "|---|---|---|---|---|---|---|"
    others = list_rivals()
    for (classes, first, second), tolerance in SIZES:
        size = f"{classes} x {first} x {second}"
        for kind, joint in (
            ("correlated", make_peaked(classes, first, copied=0.5, seed=3)),
            ("sparse", make_sparse(first, classes, seed=3)),
        ):
            assert joint.shape == (first, second, classes)
            own = time_call(functools.partial(broja, joint, tolerance=tolerance))
            known = joint.size <= 25_000
            truth = broja(joint, tolerance=1e-9).redundant if known else None
            error = f"{abs(own.result.redundant - truth):.0e}" if known else ""
            yield f"| {size} | {kind} | kdlight | {own.seconds:.4f} | {own.result.gap:.0e} | {error} | |"
            for name, solve in others.items() if joint.size <= largest_rival else ():
                yield _time_one(f"| {size} | {kind} | {name}", solve, joint, truth, own.seconds)
    batch = np.stack([make_peaked(10, 10, copied=0.5, seed=seed) for seed in range(BATCH)])
    own = time_call(functools.partial(broja, batch, tolerance=1e-6))
    size = f"{BATCH} joints of 10 x 10 x 10"
    yield f"| {size} | correlated | kdlight | {own.seconds:.4f} | {own.result.gap.max():.0e} | | |"


def time_stage(samples: int = 10_000, width: int = 16_384, fitted: int = 2_000) -> Iterator[str]:
    """Time what `PIDMonitor` computes for one stage of the student, without the forward passes.

    Args:
        samples: Number of images whose symbols are counted.
        width: Number of float32 features of an image. The default is 16 channels times 32 x 32 positions.
        fitted: Number of training images on which the clusters are fitted.
    """
    from kdlight.information.discretizer import Discretizer
    from kdlight.information.estimates import estimate_pid

    rng = np.random.default_rng(0)
    directions = rng.standard_normal((10, width), dtype=np.float32)

    def features(target: Any) -> Any:
        return directions[target] + 4 * rng.standard_normal((len(target), width), dtype=np.float32)

    def mistaken(target: Any) -> Any:
        return np.where(rng.random(len(target)) < 0.8, target, rng.integers(0, 10, len(target)))

    target = rng.integers(0, 10, samples)
    learned = rng.integers(0, 10, fitted)
    rows = features(learned)
    cut = np.array_split(np.arange(fitted), REPEATS)
    fit = time_call(lambda: [Discretizer(clusters=10).fit(rows[part], learned[part]) for part in cut], least=0.0)
    parts, applying = [], 0.0
    for batch in np.array_split(target, max(samples // 250, 1)):
        rows = features(mistaken(batch))
        applied = time_call(functools.partial(_transform, fit.result, rows), least=0.0)
        applying += applied.seconds
        parts.append(applied.result)
    symbols, of_teacher = np.concatenate(parts, axis=1), np.stack([mistaken(target)] * REPEATS)
    atoms = time_call(functools.partial(estimate_pid, of_teacher, symbols, target), least=0.0)
    total = fit.seconds + applying + atoms.seconds
    yield f"one stage, {samples:,} samples of {width:,} numbers, 10 clusters fitted on {fitted:,} other samples:"
    yield f"clusters {fit.seconds:.2f}, symbols {applying:.2f}, atoms with intervals {atoms.seconds:.2f}, "
    yield f"together {total:.2f} seconds of one CPU core"


def _transform(discretizers: Sequence[Any], rows: Array) -> Any:
    return np.stack([discretizer.transform(rows) for discretizer in discretizers])


def _time_one(row: str, solve: Callable[[Array], float], joint: Array, truth: float | None, own_seconds: float) -> str:
    try:
        theirs = time_call(functools.partial(solve, joint))
    except Exception as failure:  # this solver's row then names the exception
        return f"{row} | failed: {type(failure).__name__} | | | |"
    error = "" if truth is None else f"{abs(theirs.result - truth):.0e}"
    return f"{row} | {theirs.seconds:.4f} | | {error} | {theirs.seconds / own_seconds:.0f} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        "python -m kdlight.workbench.pid_study.solver_benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--largest_rival",
        type=int,
        default=4_000,
        metavar="CELLS",
        help="other solvers are timed on joint distributions of up to this many cells; 25,000 cells (10 x 50 x 50) "
        "take minutes",
    )
    parser.add_argument(
        "--stage", action="store_true", help="instead of the solvers, time what PIDMonitor computes for one stage"
    )
    options = parser.parse_args(arguments)
    for line in time_stage() if options.stage else time_solvers(options.largest_rival):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
