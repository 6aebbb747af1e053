"""Turn the features of the probe images into symbols, batch by batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.files import replace_file
from kdlight.information.bias import LARGEST_CHOSEN_BIAS, estimate_bias
from kdlight.information.discretizer import Discretizer, Method, Symbols
from kdlight.information.histogram import joint_histogram
from kdlight.streams import Stream, derive_seed

#: A function that computes the features of a batch: a tensor (batch, …) for each name.
Features = Callable[[Batch], Mapping[str, Tensor]]
Rows = npt.NDArray[np.float32]
#: The methods for which a number of clusters is given or chosen.
CLUSTERED = ("kmeans", "quantile")
#: Largest number of clusters that "auto" chooses. It keeps a measurement fast: with 50 clusters each of its many
#: decompositions would take a tenth of a second.
MOST_CLUSTERS = 20
#: Each discretizer is fitted on at least this many images per cluster, if there are enough images.
PER_CLUSTER = 10


@dataclass(frozen=True)
class RepeatedDiscretizer:
    """Turns features into symbols several times (symbolisations), each time with a discretizer fitted on other images.

    Args:
        method: A method of `kdlight.information.Discretizer`.
        clusters: Number of symbols of kmeans and quantile. None: chosen by `choose_clusters`.
        components: Number of principal components before clustering.
        seed: Seed of everything random.
        repeats: Number of symbolisations; "predictions" has one, because it is not fitted.
    """

    method: Method = "kmeans"
    clusters: int | None = None
    components: int = 10
    seed: int = 0
    repeats: int = 5

    def fit(
        self, features: Features, batches: list[Batch], counted: int, clusters: Mapping[str, int] | None = None
    ) -> dict[str, list[Discretizer]]:
        """Fit the discretizers for each name whose features are finite.

        The features of all names and batches are held in memory at once.

        Args:
            features: Computes the features.
            batches: The images to fit on.
            counted: How many images will be counted. A number of clusters that is not given is chosen for so many.
            clusters: Numbers of clusters that were chosen before, by name.
        """
        collected: dict[str, list[Tensor]] = {}
        for batch in batches:
            for name, values in features(batch).items():
                collected.setdefault(name, []).append(_to_rows(values))
        target = torch.cat([batch.target for batch in batches]).numpy()
        fitted = {}
        for name in list(collected):
            rows = torch.cat(collected.pop(name)).numpy()
            if np.isfinite(rows).all():
                wanted = (clusters or {}).get(name) or self.clusters
                if wanted is None and self.method in CLUSTERED:
                    wanted = self.choose_clusters(rows, target, counted)
                fitted[name] = self._fit_repeats(rows, target, wanted or 2)
        return fitted

    def transform(
        self, features: Features, batches: list[Batch], fitted: Mapping[str, list[Discretizer]]
    ) -> dict[str, Symbols]:
        """Return symbols (repeats, samples) by name; names whose features are not finite are left out."""
        collected: dict[str, list[Symbols]] = {name: [] for name in fitted}
        for batch in batches:
            for name, values in features(batch).items():
                rows = _to_rows(values) if name in collected else None
                if rows is None or not rows.isfinite().all():
                    collected.pop(name, None)
                else:
                    collected[name].append(np.stack([each.transform(rows.numpy()) for each in fitted[name]]))
        return {name: np.concatenate(parts, axis=1) for name, parts in collected.items()}

    def choose_clusters(self, rows: Rows, target: Symbols, counted: int) -> int:
        """Choose the largest number of clusters whose bias is small enough.

        The first candidate is twice the number of classes, but at most `MOST_CLUSTERS`. Each further candidate is half
        the one before. If the bias of none is small enough, 2 is chosen.
        Clusters are fitted on half of the rows. On the other half, the pairs of cluster and class that occur are
        counted. Their number determines the bias to expect of I(class; cluster) when ``counted`` images are counted;
        this bias may be at most `LARGEST_CHOSEN_BIAS` bits.

        Args:
            rows: Features (samples, …).
            target: Classes, (samples,).
            counted: How many images will be counted.
        """
        order = np.random.default_rng(derive_seed(Stream.BEARABLE_CLUSTERS, self.seed)).permutation(len(rows))
        fitted, held_out = order[: len(order) // 2], order[len(order) // 2 :]
        candidate = min(2 * len(np.unique(target)), MOST_CLUSTERS)
        while candidate > 2:
            discretizer = Discretizer(self.method, clusters=candidate, components=self.components, seed=self.seed)
            symbols = discretizer.fit(rows[fitted], target[fitted]).transform(rows[held_out])
            table = joint_histogram(symbols, np.zeros_like(symbols), target[held_out]).sum(axis=1)
            if estimate_bias(table) * len(held_out) / counted <= LARGEST_CHOSEN_BIAS:
                break
            candidate = max(candidate // 2, 2)
        return candidate

    def _fit_repeats(self, rows: Rows, target: Symbols, clusters: int) -> list[Discretizer]:
        repeats = 1 if self.method == "predictions" else self.repeats
        order = np.random.default_rng(derive_seed(Stream.FITTED_PARTS, self.seed)).permutation(len(rows))
        size = min(len(rows), max(len(rows) // repeats, PER_CLUSTER * clusters))
        starts = [place * (len(rows) - size) // max(repeats - 1, 1) for place in range(repeats)]
        parts = [np.sort(order[start : start + size]) for start in starts]
        return [
            Discretizer(
                self.method, clusters=clusters, components=self.components, seed=self.repeats * self.seed + place
            ).fit(rows[part], target[part])
            for place, part in enumerate(parts)
        ]


def load_or_compute_symbols(file: Path, compute: Callable[[], dict[str, Symbols]]) -> dict[str, Symbols]:
    """Read symbols from the file; if the file does not exist, compute the symbols and write the file."""
    if file.is_file():
        with np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    symbols = compute()
    file.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(file) as draft, draft.open("wb") as stream:
        np.savez_compressed(stream, **symbols)  # type: ignore[arg-type]  # a name could be `allow_pickle`; none is
    return symbols


def _to_rows(features: Tensor) -> Tensor:
    return features.flatten(1).float().cpu()
