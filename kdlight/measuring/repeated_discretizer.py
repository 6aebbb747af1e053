"""Turn the features of images into symbols (integers, such as cluster indices), batch by batch."""

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

#: A function that computes one or several kinds of features of a batch. It returns a tensor (batch, …) for each kind,
#: by a name such as "logits".
Features = Callable[[Batch], Mapping[str, Tensor]]
Rows = npt.NDArray[np.float32]
#: The methods for which a number of clusters is given or chosen.
CLUSTERED = ("kmeans", "quantile")
#: Largest number of clusters that `RepeatedDiscretizer.choose_clusters` chooses. This limit keeps measurements fast:
#: with 50 clusters, each of the many information decompositions in a measurement would take a tenth of a second.
MOST_CLUSTERS = 20
#: Each discretizer is fitted on at least this many images per cluster, if there are enough images.
PER_CLUSTER = 10


@dataclass(frozen=True)
class RepeatedDiscretizer:
    """Turns features into symbols several times, each time with a discretizer that is fitted on different images.

    If there are few images, the images of different discretizers overlap.

    Args:
        method: The ``method`` of `kdlight.information.Discretizer`.
        clusters: Number of symbols for the methods "kmeans" and "quantile". None: chosen by `choose_clusters`.
        components: Number of principal components to which "kmeans" and "probe" reduce the features.
        seed: Seed of the choice of images, of PCA and of clustering.
        repeats: How many times features are turned into symbols. With the method "predictions" they are turned into
            symbols only once, because nothing is fitted.
    """

    method: Method = "kmeans"
    clusters: int | None = None
    components: int = 10
    seed: int = 0
    repeats: int = 5

    def fit(
        self, features: Features, batches: list[Batch], counted: int, clusters: Mapping[str, int] | None = None
    ) -> dict[str, list[Discretizer]]:
        """Fit the discretizers of each kind of features, and return them by the features' name.

        A kind of features is left out if any of its values is not finite. All features of all batches are held in
        memory at once.

        Args:
            features: Computes the features.
            batches: The images to fit on.
            counted: The number of other images, from whose symbols the information will be estimated later.
                `choose_clusters` needs this number.
            clusters: Numbers of clusters by the features' name. They take precedence over `self.clusters`.
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
        """Return symbols (repeats, samples) of each kind of features, by the features' name.

        A kind of features is left out if `fit` left it out, or if any of its values is not finite.
        """
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
        """Choose the largest number of clusters for which I(class; cluster) can be estimated with little bias.

        The first candidate is twice the number of classes, but at most `MOST_CLUSTERS`. Each further candidate is half
        the one before, but at least 2. The first candidate whose bias is at most `LARGEST_CHOSEN_BIAS` bits is chosen;
        if there is none, 2.

        The bias of a candidate is estimated as follows. Clusters are fitted on one half of the rows. The rows of the
        other half are counted by cluster and class. `estimate_bias` estimates the bias that I(class; cluster) has if it
        is computed from these counts. The bias is proportional to 1 / samples, so it is rescaled to ``counted`` images.

        Args:
            rows: Features (samples, …).
            target: Classes, (samples,).
            counted: From how many other images I(class; cluster) will be estimated.
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
        # mypy complains that a key of `symbols` could be the argument `allow_pickle`; no features have this name.
        np.savez_compressed(stream, **symbols)  # type: ignore[arg-type]
    return symbols


def _to_rows(features: Tensor) -> Tensor:
    return features.flatten(1).float().cpu()
