"""Joint distributions with known decompositions (``pid.json``), in the axes of kdlight.information."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "pid.json").read_text())["cases"]
DISCRETE = [case for case in CASES if case["family"] == "discrete"]
GAUSSIAN = [case for case in CASES if case["family"] == "gaussian"]


def joint_of(case: dict[str, Any]) -> Array:
    """P with axes (first source, second source, target); the file's are (target, first, second)."""
    if "p" in case:
        table = np.array(case["p"])
    elif "recipe" in case:
        table = _from_recipe(**case["recipe"])
    else:
        classes = case["shape_y_t_s"][0]
        teacher, student = (_symmetric_channel(classes, accuracy) for accuracy in (0.75, 0.6))
        table = teacher[:, :, None] * student[:, None] / classes
    return np.ascontiguousarray(table.transpose(1, 2, 0))


def named(name: str) -> Array:
    return joint_of(next(case for case in DISCRETE if case["name"] == name))


def random_joint(kind: str, ny: int, nt: int, ns: int, seed: int) -> Array:
    return np.ascontiguousarray(_from_recipe(kind, ny, nt, ns, seed).transpose(1, 2, 0))


def _symmetric_channel(classes: int, accuracy: float) -> Array:
    off = (1 - accuracy) / (classes - 1)
    return np.full((classes, classes), off) + np.eye(classes) * (accuracy - off)


def _exponential(seed: int, count: int) -> Array:
    uniform = np.empty(count)
    for index in range(count):
        seed = (1664525 * seed + 1013904223) % 2**32
        uniform[index] = (seed + 0.5) / 2**32
    return -np.log(uniform)


def _from_recipe(kind: str, ny: int, nt: int, ns: int, seed: int) -> Array:
    if kind in ("lcg_exp", "lcg_counts"):
        weights = _exponential(seed, ny * nt * ns).reshape(ny, nt, ns)
        weights = weights if kind == "lcg_exp" else np.floor(2 * weights**3)
        return np.asarray(weights / weights.sum())
    channels = _exponential(seed, ny * (nt + ns)) ** 4
    first, second = channels[: ny * nt].reshape(ny, nt), channels[ny * nt :].reshape(ny, ns)
    first, second = (channel / channel.sum(axis=1, keepdims=True) for channel in (first, second))
    if kind == "lcg_ci_pow4":
        return np.asarray(first[:, :, None] * second[:, None] / ny)
    copied = 0.9 * np.eye(nt) + 0.1 / nt
    return np.asarray(first[:, :, None] * (0.5 * copied + 0.5 * second[:, None]) / ny)
