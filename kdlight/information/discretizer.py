"""Turn features into symbols, so that their joint distribution with the target can be counted."""

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

#: The features of each sample are flattened to a row and scaled to length one. If all rows differ by at most this in
#: every element, they count as equal, because rounding to float32 alone can cause differences of this size.
_CONSTANT = 1e-6
#: Principal components (scaled so that the first has unit variance) are rounded to this many decimals. The decimals
#: after these have rounding errors that depend on the batch in which a sample is transformed. The sample's symbol must
#: not depend on the batch.
_DECIMALS = 6


class Discretizer:
    """Maps each sample's features to one integer symbol.

    The methods, by name:

    - ``kmeans``: the features of each sample are flattened to a row, scaled to length one, projected by PCA, and
      clustered by k-means. The authors of the distillation method RID do the same (Dissanayake et al., 2025,
      arXiv:2411.07483, appendix D.3, with 10 components and 10 clusters on CIFAR-10). The scaling is in their code but
      not in the paper, and their code sets no seed.
    - ``quantile``: the first principal component of the scaled rows, cut into bins with equal numbers of samples.
    - ``probe``: the prediction of a multinomial logistic regression of the target on the principal components.
    - ``predictions``: the features are logits, and the symbol is their argmax; nothing is fitted.

    The information of the symbols about the target is overestimated if the discretizer is fitted on the same samples
    from which the information is then estimated, so fit the discretizer on other samples if there are enough. The
    overestimate is largest with ``probe``; therefore, with this method, ``fit_transform`` predicts each half of the
    samples with a probe that is fitted on the other half.

    If there are too few samples or dimensions, or features are constant or all zero, there are fewer symbols than asked
    for, and no error is raised.

    Args:
        method: One of the names above.
        clusters: Number of symbols of ``kmeans`` and ``quantile``.
        components: Number of principal components that ``kmeans`` and ``probe`` see.
        seed: Seed of PCA, k-means and the probe's halves; the same seed gives the same symbols.

    Raises:
        UserError: If the method is unknown, or ``clusters`` or ``components`` is below one.
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
        self._num_symbols = clusters
        self._pca: PCA | None = None
        self._scale = 1.0
        self._model: Any = None

    @property
    def is_fitted(self) -> bool:
        """Whether ``transform`` can be called."""
        return self._width is not None

    @property
    def num_symbols(self) -> int:
        """Number of possible symbols, for the ``sizes`` of `joint_histogram`.

        With the methods ``probe`` and ``predictions`` it is known only after ``fit``.
        """
        return self._num_symbols

    def fit(self, features: npt.ArrayLike, target: npt.ArrayLike | None = None) -> "Discretizer":
        """Learn the mapping from features to symbols.

        Args:
            features: Shape (samples, ...); logits of shape (samples, classes) for ``predictions``.
            target: Classes from 0, shape (samples,); needed by ``probe`` and ignored by the other methods.

        Raises:
            UserError: If there are no samples, features are not finite, or ``probe`` gets no valid target.
        """
        rows = _to_rows(features)
        self._width = rows.shape[1]
        if self.method == "predictions":
            self._num_symbols = rows.shape[1]
            return self
        projected = self._fit_projection(rows)
        if self.method == "kmeans":
            self._fit_kmeans(projected)
        elif self.method == "quantile":
            self._model = np.quantile(projected[:, 0], np.arange(1, self.clusters) / self.clusters)
        else:
            self._fit_probe(projected, _check_classes(target, len(rows)))
        return self

    def transform(self, features: npt.ArrayLike) -> Symbols:
        """Return the symbols of samples, integers from 0 of shape (samples,).

        Raises:
            UserError: If features are not finite or not of the fitted size.
            RuntimeError: If the discretizer is not fitted.
        """
        rows = _to_rows(features)
        if not self.is_fitted:
            raise RuntimeError("the discretizer is not fitted: call fit or fit_transform first")
        if rows.shape[1] != self._width:
            raise UserError(f"features: expected {self._width} numbers per sample, as when fitted, got {rows.shape[1]}")
        if self.method == "predictions":
            return np.asarray(rows.argmax(axis=1), dtype=np.int64)
        projected = self._project(_normalize_rows(rows))
        if self.method == "quantile":
            return np.asarray(np.searchsorted(self._model, projected[:, 0]), dtype=np.int64)
        if isinstance(self._model, int):
            return np.full(len(rows), self._model, dtype=np.int64)
        return np.asarray(self._model.predict(projected), dtype=np.int64)

    def fit_transform(self, features: npt.ArrayLike, target: npt.ArrayLike | None = None) -> Symbols:
        """Fit, and return the symbols of the same samples.

        For ``probe``, each half of the samples gets the predictions of a probe fitted on the other half. The probe that
        later calls of ``transform`` use is fitted on all samples.

        Args:
            features: As for ``fit``.
            target: As for ``fit``.

        Raises:
            UserError: As for ``fit``; also if the method is ``probe`` and there are fewer than two samples.
        """
        if self.method != "probe":
            return self.fit(features, target).transform(features)
        rows = np.asarray(features)
        classes = _check_classes(target, len(rows))
        if len(rows) < 2:
            raise UserError(f"features: expected at least 2 samples to fit a probe on halves, got {len(rows)}")
        order = np.random.default_rng(derive_seed(Stream.PROBE_HALVES, self.seed)).permutation(len(rows))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        symbols = np.empty(len(rows), dtype=np.int64)
        for held_out, fitted in (halves, halves[::-1]):
            symbols[held_out] = self.fit(rows[fitted], classes[fitted]).transform(rows[held_out])
        self.fit(rows, classes)
        return symbols

    def _derive_random_state(self, stream: Stream) -> int:
        """Return the seed of a stream of random numbers, reduced to the 32 bits that scikit-learn accepts."""
        return derive_seed(stream, self.seed) % 2**32

    def _fit_projection(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        from sklearn.decomposition import PCA

        self._pca, self._scale = None, 1.0
        single = rows.dtype == np.float32
        rows = _normalize_rows(rows)
        if np.ptp(rows, axis=0).max() > _CONSTANT:
            components = min(self.components, *rows.shape)
            # For float32 features, PCA in float32 is precise enough and takes a third of float64's time.
            pca = PCA(components, random_state=self._derive_random_state(Stream.PCA))
            self._pca = pca.fit(rows.astype(np.float32) if single else rows)
            # All components are divided by the standard deviation of the first, because the regularisation of logistic
            # regression depends on the scale of its inputs. k-means and quantiles do not depend on the scale.
            self._scale = 1 / float(np.sqrt(self._pca.explained_variance_[0]))
        return self._project(rows)

    def _project(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        if self._pca is None:
            return np.zeros((len(rows), 1))
        return np.asarray(np.round(self._scale * self._pca.transform(rows), _DECIMALS))

    def _fit_kmeans(self, projected: npt.NDArray[np.float64]) -> None:
        from sklearn.cluster import KMeans

        clusters = min(self.clusters, len(np.unique(projected, axis=0)))
        self._model = KMeans(clusters, n_init=10, random_state=self._derive_random_state(Stream.K_MEANS)).fit(projected)

    def _fit_probe(self, projected: npt.NDArray[np.float64], classes: Symbols) -> None:
        from sklearn.linear_model import LogisticRegression

        self._num_symbols = int(classes.max()) + 1
        if classes.min() == classes.max():
            self._model = int(classes[0])
        else:
            self._model = LogisticRegression(max_iter=10_000).fit(projected, classes)


def _to_rows(features: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(features)
    if array.ndim < 2 or array.size == 0:
        raise UserError(f"features: expected shape (samples, ...) without an empty axis, got {array.shape}")
    if not np.issubdtype(array.dtype, np.number) and array.dtype != bool:
        raise UserError(f"features: expected numbers, got an array of {array.dtype}")
    rows = array.reshape(len(array), -1)
    broken = int((~np.isfinite(rows).all(axis=1)).sum())
    if broken:
        raise UserError(f"features: expected finite numbers, got NaN or infinity in {broken} of {len(rows)} samples")
    return rows


def _normalize_rows(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Divide rows by their length; rows of zeros stay zero."""
    rows = rows.astype(np.float64)
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]  # einsum does not store the squares of all elements
    rows /= np.where(length > 0, length, 1.0)
    return rows


def _check_classes(target: npt.ArrayLike | None, samples: int) -> Symbols:
    classes = np.asarray(target)
    if classes.shape != (samples,) or not np.issubdtype(classes.dtype, np.integer) or classes.min() < 0:
        given = f"{classes.dtype} of {classes.shape}"
        raise UserError(f"target: a probe expects integer classes from 0 of shape ({samples},), got {given}")
    return classes.astype(np.int64)
