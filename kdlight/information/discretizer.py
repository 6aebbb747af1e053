"""From features to symbols, whose joint distribution with the target can be counted."""

__all__ = ["Discretizer"]

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from kdlight.errors import UserError
from kdlight.streams import Stream, derive_seed

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

Method = Literal["kmeans", "quantile", "probe", "predictions"]
Symbols = npt.NDArray[np.int64]

#: Rows of length one that differ by less, as float32 does by rounding, count as constant.
_CONSTANT = 1e-6
#: Principal components, the first of unit variance, are told apart to so many decimals, so that equal rows get equal
#: symbols whatever batch they come in.
_DECIMALS = 6


class Discretizer:
    """Maps each sample's features to one integer symbol.

    The methods, by name:

    - ``kmeans``: flatten, scale rows to length one, PCA, k-means. This is what the authors of RID do (Dissanayake et
      al., 2025, arXiv:2411.07483, appendix D.3, with 10 components and 10 clusters on CIFAR-10), but for the scaling,
      which is in their code alone, and the seed, which is not in it.
    - ``quantile``: the first principal component of the scaled rows, cut into bins of equally many samples.
    - ``probe``: the prediction of a multinomial logistic regression of the target on the principal components.
    - ``predictions``: the features are logits, the symbol their argmax; nothing is fitted.

    Whatever is fitted on the samples that are counted afterwards inflates the information: fit on other samples where
    there are enough. ``fit_transform`` of the probe, which inflates most, is cross-fitted for that reason.

    Fewer samples or directions than asked for, constant and all-zero features are not errors: they give fewer symbols.

    Args:
        method: one of the above.
        clusters: number of symbols of ``kmeans`` and ``quantile``.
        components: number of principal components that ``kmeans`` and ``probe`` see.
        seed: of PCA, k-means and the probe's halves; the same seed gives the same symbols.

    Raises:
        UserError: for an unknown method or a number below one.
    """

    def __init__(self, method: Method = "kmeans", *, clusters: int = 10, components: int = 10, seed: int = 0) -> None:
        if method not in ("kmeans", "quantile", "probe", "predictions"):
            raise UserError(f"method: expected kmeans, quantile, probe or predictions, got {method!r}")
        if clusters < 1 or components < 1:
            raise UserError(f"expected at least 1 cluster and 1 component, got {clusters} and {components}")
        self.method = method
        self.clusters = clusters
        self.components = 1 if method == "quantile" else components
        self.seed = seed
        self._width: int | None = None
        self._symbols = clusters
        self._pca: PCA | None = None
        self._scale = 1.0
        self._model: Any = None

    @property
    def fitted(self) -> bool:
        """Whether ``transform`` can be called."""
        return self._width is not None

    @property
    def symbols(self) -> int:
        """Number of possible symbols, a size for ``joint_histogram``. For the other methods known once fitted."""
        return self._symbols

    def fit(self, features: npt.ArrayLike, target: npt.ArrayLike | None = None) -> "Discretizer":
        """Learns the mapping.

        Args:
            features: shape (samples, ...); logits of shape (samples, classes) for ``predictions``.
            target: classes from 0, shape (samples,); needed by ``probe`` and ignored by the others.

        Raises:
            UserError: for no samples, non-finite features, or a probe without a fitting target.
        """
        rows = _rows(features)
        self._width = rows.shape[1]
        if self.method == "predictions":
            self._symbols = rows.shape[1]
            return self
        projected = self._fit_projection(rows)
        if self.method == "kmeans":
            self._fit_kmeans(projected)
        elif self.method == "quantile":
            self._model = np.quantile(projected[:, 0], np.arange(1, self.clusters) / self.clusters)
        else:
            self._fit_probe(projected, _classes(target, len(rows)))
        return self

    def transform(self, features: npt.ArrayLike) -> Symbols:
        """Symbols of samples, shape (samples,), from 0.

        Raises:
            UserError: for features that are not finite or not of the fitted size.
            RuntimeError: before ``fit``.
        """
        rows = _rows(features)
        if not self.fitted:
            raise RuntimeError("the discretizer is not fitted: call fit or fit_transform first")
        if rows.shape[1] != self._width:
            raise UserError(f"features: expected {self._width} numbers a sample as fitted, got {rows.shape[1]}")
        if self.method == "predictions":
            return np.asarray(rows.argmax(axis=1), dtype=np.int64)
        projected = self._project(_unit(rows))
        if self.method == "quantile":
            return np.asarray(np.searchsorted(self._model, projected[:, 0]), dtype=np.int64)
        if isinstance(self._model, int):
            return np.full(len(rows), self._model, dtype=np.int64)
        return np.asarray(self._model.predict(projected), dtype=np.int64)

    def fit_transform(self, features: npt.ArrayLike, target: npt.ArrayLike | None = None) -> Symbols:
        """Fits, and gives the symbols of the same samples.

        The probe gives each half of the samples the predictions of a probe fitted on the other half; what stays
        fitted, for later ``transform``, has seen all samples.

        Args:
            features: as for ``fit``.
            target: as for ``fit``.

        Raises:
            UserError: as for ``fit``; also for a probe with fewer than two samples.
        """
        if self.method != "probe":
            return self.fit(features, target).transform(features)
        rows = np.asarray(features)
        classes = _classes(target, len(rows))
        if len(rows) < 2:
            raise UserError(f"features: expected at least 2 samples to fit a probe on halves, got {len(rows)}")
        order = np.random.default_rng(derive_seed(Stream.PROBE_HALVES, self.seed)).permutation(len(rows))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        symbols = np.empty(len(rows), dtype=np.int64)
        for held_out, fitted in (halves, halves[::-1]):
            symbols[held_out] = self.fit(rows[fitted], classes[fitted]).transform(rows[held_out])
        self.fit(rows, classes)
        return symbols

    def _random_state(self, stream: Stream) -> int:
        """Return the seed of a purpose, in the 32 bits that scikit-learn takes."""
        return derive_seed(stream, self.seed) % 2**32

    def _fit_projection(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        from sklearn.decomposition import PCA

        self._pca, self._scale = None, 1.0
        single = rows.dtype == np.float32
        rows = _unit(rows)
        if np.ptp(rows, axis=0).max() > _CONSTANT:
            components = min(self.components, *rows.shape)
            # Components of float32 features need no more precision, at which they take a third of the time.
            pca = PCA(components, random_state=self._random_state(Stream.PCA))
            self._pca = pca.fit(rows.astype(np.float32) if single else rows)
            # Logistic regression regularises by the size of its inputs; k-means and quantiles do not mind.
            self._scale = 1 / float(np.sqrt(self._pca.explained_variance_[0]))
        return self._project(rows)

    def _project(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        if self._pca is None:
            return np.zeros((len(rows), 1))
        return np.asarray(np.round(self._scale * self._pca.transform(rows), _DECIMALS))

    def _fit_kmeans(self, projected: npt.NDArray[np.float64]) -> None:
        from sklearn.cluster import KMeans

        clusters = min(self.clusters, len(np.unique(projected, axis=0)))
        self._model = KMeans(clusters, n_init=10, random_state=self._random_state(Stream.K_MEANS)).fit(projected)

    def _fit_probe(self, projected: npt.NDArray[np.float64], classes: Symbols) -> None:
        from sklearn.linear_model import LogisticRegression

        self._symbols = int(classes.max()) + 1
        if classes.min() == classes.max():
            self._model = int(classes[0])
        else:
            self._model = LogisticRegression(max_iter=10_000).fit(projected, classes)


def _rows(features: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(features)
    if array.ndim < 2 or array.size == 0:
        raise UserError(f"features: expected shape (samples, ...) without an empty axis, got {array.shape}")
    rows = array.reshape(len(array), -1)
    broken = int((~np.isfinite(rows).all(axis=1)).sum())
    if broken:
        raise UserError(f"features: expected finite numbers, got NaN or infinity in {broken} of {len(rows)} samples")
    return rows


def _unit(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Rows divided by their length; zeros stay."""
    rows = rows.astype(np.float64)
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]  # without a second array of this size
    rows /= np.where(length > 0, length, 1.0)
    return rows


def _classes(target: npt.ArrayLike | None, samples: int) -> Symbols:
    classes = np.asarray(target)
    if classes.shape != (samples,) or not np.issubdtype(classes.dtype, np.integer) or classes.min() < 0:
        given = f"{classes.dtype} of {classes.shape}"
        raise UserError(f"target: a probe expects integer classes from 0 of shape ({samples},), got {given}")
    return classes.astype(np.int64)
