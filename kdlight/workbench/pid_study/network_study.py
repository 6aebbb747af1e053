"""Measure how well PIDs of two networks are estimated: ``python -m kdlight.workbench.pid_study.network_study --help``.

The PID (partial information decomposition) splits what two networks tell about the label into four atoms: one
redundant, two unique and one synergistic. The networks are a teacher (ResNet-56) and a trained or untrained student
(ResNet-20). Their features of all images of CIFAR-10 are computed. A discretisation replaces the features of each image
by one symbol, such as the index of a cluster. Many discretisations are made, each fitted on 400 randomly drawn images.
The true value is the PID of all images, averaged over these discretisations. Each estimate is computed from 300 to
10,000 images, which are drawn with replacement, and from five of the discretisations. In some settings, one
discretisation is drawn instead of five, or the discretisations are fitted on the images of the estimate. A table
compares the estimates with the true value. Features and estimates are stored in a folder for later calls.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from kdlight.errors import MissingFileError, UserError
from kdlight.files import replace_file
from kdlight.information.broja_solver import broja
from kdlight.information.discretizer import Discretizer, Method
from kdlight.information.estimated_pid import QUANTITIES, Estimate
from kdlight.information.estimates import estimate_pid
from kdlight.information.histogram import joint_histogram
from kdlight.models.weights import load_weights
from kdlight.models.zoo.resnet import resnet20, resnet56
from kdlight.workbench.pid_study.repeated_estimates import ATOMS, HEADINGS, RepeatedEstimate

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: The deepest stage's features are stored as projections onto this many directions: the first singular vectors of the
#: features of 4,000 images. `Discretizer` then reduces the projections further, by a PCA of its own.
KEPT = 256
FITTED, POOL, REPEATS = 400, 30, 5
#: Batch size of forward passes: on one core, batches of 50 take half as long per image as batches of 250.
BATCH = 50


class Case(NamedTuple):
    """One setting: `repeats` discretizers with the method `symbols` turn the features at `place` into symbols."""

    student: str
    place: str
    symbols: str
    clusters: int
    repeats: int = REPEATS
    fitted_on: str = "others"
    """Images on which discretisations are fitted: "counted", those of the estimate; "others", independent ones."""

    def __str__(self) -> str:
        count = f" {self.clusters}" if self.symbols in ("kmeans", "quantile") else ""
        once = ", once" if self.repeats == 1 else ""
        return f"{self.student}, {self.place}, {self.symbols}{count}{once}" + (
            ", fitted on the counted" if self.fitted_on == "counted" else ""
        )


def list_cases() -> Iterator[tuple[Case, tuple[int, ...], int]]:
    """Yield (setting, numbers of images, n): the setting is measured in every n-th repetition."""
    everything, few = (300, 1_000, 3_000, 10_000), (300, 10_000)
    for student in ("trained", "untrained"):
        for clusters in (4, 10, 20):
            yield Case(student, "stage", "kmeans", clusters), everything, 1
        yield Case(student, "stage", "kmeans", 10, repeats=1), everything, 1
        yield Case(student, "stage", "kmeans", 10, fitted_on="counted"), (300, 1_000), 2
        yield Case(student, "stage", "probe", 10), everything, 2
        yield Case(student, "stage", "probe", 10, fitted_on="counted"), (300, 1_000), 2
        yield Case(student, "stage", "quantile", 10), few, 2
        yield Case(student, "logits", "kmeans", 10), few, 2
        yield Case(student, "logits", "kmeans", 20), few, 2
        yield Case(student, "logits", "predictions", 10, repeats=1), everything, 2
        yield Case(student, "stage", "kmeans", 50), few, 4
        yield Case(student, "stage", "kmeans", 100), few, 8


class Population:
    """The features of all images, and the symbols of these features.

    Args:
        data: The folder with CIFAR-10's binary files.
        weights: The files with the weights of the networks "teacher" and "trained" (the trained student).
        kept: The folder in which results are stored.
    """

    def __init__(self, data: Path, weights: dict[str, Path], kept: Path) -> None:
        self.kept = kept
        files = sorted(data.rglob("*_batch*.bin"))
        if not files:
            raise MissingFileError(f"{data}: expected CIFAR-10's binary files (data_batch_1.bin, …), found none")
        raw = np.concatenate([np.fromfile(file, np.uint8).reshape(-1, 3073) for file in files])
        self.target = raw[:, 0].astype(np.int64)
        self._images = raw[:, 1:].reshape(-1, 3, 32, 32)
        self._weights = weights
        self._symbols: dict[tuple[str, Case], np.ndarray[Any, Any]] = {}

    def compute_features(self, network: str) -> dict[str, np.ndarray[Any, Any]]:
        """Return a network's features of all images, at "stage" (the deepest stage) and "logits".

        The first call computes the features and stores them in a file; later calls read the file.
        """
        file = self.kept / f"{network}.npz"
        if not file.is_file():
            computed = _compute_features(network, self._weights.get(network), self._images)
            with replace_file(file) as draft, draft.open("wb") as stream:
                np.savez(stream, **computed)  # type: ignore[arg-type]  # no key is `allow_pickle`, an argument of savez
        with np.load(file, allow_pickle=False) as stored:
            return {place: stored[place] for place in ("stage", "logits")}

    def compute_symbols(self, network: str, case: Case) -> np.ndarray[Any, Any]:
        """Turn the features of all images into symbols many times; return the symbols (discretisations, images)."""
        key = (network, case._replace(student="", repeats=0))
        if key not in self._symbols:
            rows = self.compute_features(network)[case.place]
            many = 1 if case.symbols == "predictions" else POOL if case.clusters <= 20 else 10
            self._symbols[key] = np.stack([self.fit(rows, case, seed)[1] for seed in range(many)]).astype(np.int16)
        return self._symbols[key]

    def fit(
        self, rows: np.ndarray[Any, Any], case: Case, seed: int, chosen: np.ndarray[Any, Any] | None = None
    ) -> tuple[Discretizer, np.ndarray[Any, Any]]:
        """Fit a discretizer on random images, and return the discretizer and the symbols of all images.

        If ``chosen`` is given, fit the discretizer on these images, and return the symbols of only these images.
        """
        own = np.random.default_rng((1, seed)).permutation(len(rows))[:FITTED] if chosen is None else chosen
        discretizer = Discretizer(cast(Method, case.symbols), clusters=case.clusters, seed=seed)
        discretizer.fit(rows[own], self.target[own])
        return discretizer, discretizer.transform(rows if chosen is None else rows[own])

    def compute_truth(self, case: Case) -> list[float]:
        """Compute atoms and mutual informations from all images; return their means over the discretisations."""
        first, second = self.compute_symbols("teacher", case), self.compute_symbols(case.student, case)
        found = []
        for place in range(len(first)):
            joint = joint_histogram(first[place], second[place], self.target)
            pid = broja(joint / joint.sum(), tolerance=1e-5)
            found.append([*pid[:4], pid.information_first, pid.information_second, pid.information])
        return [float(value) for value in np.mean(found, axis=0)]

    def estimate(self, case: Case, samples: int, repetition: int) -> dict[str, Any]:
        """Draw the images of one repetition, draw or fit its discretisations, and estimate the PID from these."""
        rng = np.random.default_rng((2, samples, repetition))
        images = rng.integers(len(self.target), size=samples)
        started = time.process_time()
        sources = []
        if case.fitted_on == "counted":
            for network in ("teacher", case.student):
                rows = self.compute_features(network)[case.place]
                seeds = [repetition * REPEATS + place for place in range(case.repeats)]
                sources.append(np.stack([self.fit(rows, case, seed, images)[1] for seed in seeds]))
        else:
            pools = [self.compute_symbols(network, case) for network in ("teacher", case.student)]
            chosen = rng.permutation(len(pools[0]))[: case.repeats]
            sources = [pool[chosen][:, images].astype(np.int64) for pool in pools]
        found = estimate_pid(sources[0], sources[1], self.target[images], seed=repetition)
        values = {name: list(estimate) for name, estimate in found.estimates.items()}
        return {"seconds": time.process_time() - started, **values}


def _compute_features(
    network: str, weights: Path | None, images: np.ndarray[Any, Any]
) -> dict[str, np.ndarray[Any, Any]]:
    torch.manual_seed(0)
    model = (resnet56 if network == "teacher" else resnet20)(10, (3, 32, 32), shortcut="padding")
    if weights is not None:
        load_weights(model, weights)
    model.eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    stages: list[np.ndarray[Any, Any]] = []
    logits: list[np.ndarray[Any, Any]] = []
    directions = None
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            batch = (torch.from_numpy(images[start : start + BATCH]).float() / 255 - mean) / std
            computed = model.activations(batch.contiguous(memory_format=torch.channels_last))
            logits.append(computed.logits.numpy())
            rows = torch.nn.functional.normalize(computed.stages[-1].flatten(1)).numpy()
            stages.append(rows if directions is None else rows @ directions)
            if directions is None and len(stages) * BATCH >= 4_000:
                directions = np.linalg.svd(np.concatenate(stages), full_matrices=False)[2][:KEPT].T.copy()
                stages = [rows @ directions for rows in stages]
    return {"stage": np.concatenate(stages), "logits": np.concatenate(logits)}


def format_table(kept: list[dict[str, Any]], truths: dict[str, list[float]]) -> Iterator[str]:
    """Yield the lines of the table in Markdown. Settings with fewer than four repetitions are left out."""
    headings = ("student, place, symbols", "N", "atom", *HEADINGS, "seconds")
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    for case, sizes, _ in list_cases():
        for size in sizes:
            rows = [row["found"] for row in kept if row["case"] == str(case) and row["samples"] == size]
            if len(rows) < 4:
                continue
            for name, label in ATOMS.items():
                truth = truths[str(case)][QUANTITIES.index(name)]
                found = RepeatedEstimate(truth, [Estimate(*row[name]) for row in rows])
                seconds = f"{np.median([row['seconds'] for row in rows]):.1f}"
                yield f"| {' | '.join([str(case), f'{size:,}', label, *found.format_cells(), seconds])} |"


def main(arguments: list[str] | None = None) -> int:
    """Run the study."""
    parser = argparse.ArgumentParser(
        "python -m kdlight.workbench.pid_study.network_study",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("data", type=Path, help="folder with CIFAR-10's binary files")
    parser.add_argument("--teacher", type=Path, required=True, metavar="FILE", help="weights of a ResNet-56")
    parser.add_argument("--student", type=Path, required=True, metavar="FILE", help="weights of a ResNet-20")
    parser.add_argument("--kept", type=Path, required=True, metavar="DIR", help="folder for all results")
    parser.add_argument(
        "--repetitions",
        type=int,
        default=24,
        help="number of repetitions; some settings take part in only every 2nd, 4th or 8th repetition",
    )
    options = parser.parse_args(arguments)
    if options.repetitions < 4:
        raise UserError(f"--repetitions: expected at least 4, got {options.repetitions}")
    options.kept.mkdir(parents=True, exist_ok=True)
    population = Population(options.data, {"teacher": options.teacher, "trained": options.student}, options.kept)
    file = options.kept / "repetitions.jsonl"
    kept = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    known = {(row["case"], row["samples"], row["repetition"]) for row in kept}
    with file.open("a") as stream:
        for repetition in range(options.repetitions):
            for case, sizes, every in list_cases():
                for size in sizes:
                    if repetition % every or (str(case), size, repetition) in known:
                        continue
                    found = population.estimate(case, size, repetition)
                    kept.append({"case": str(case), "samples": size, "repetition": repetition, "found": found})
                    print(json.dumps(kept[-1]), file=stream, flush=True)
    truths = {str(case): population.compute_truth(case) for case, *_ in list_cases()}
    for line in format_table(kept, truths):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
