"""From features to symbols."""

import numpy as np
import pytest

from kdlight.information.discretizer import Discretizer, Method
from kdlight.information.entropies import mutual_information
from kdlight.information.histogram import joint_histogram

FITTED: tuple[Method, ...] = ("kmeans", "quantile", "probe")


def _blobs(samples: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Feature maps (samples, 4, 3, 3) in three directions, one for each class."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, samples)
    centres = rng.normal(size=(3, 4, 3, 3))
    return (centres[target] + 0.1 * rng.normal(size=(samples, 4, 3, 3))).astype(np.float32), target


@pytest.mark.parametrize("method", FITTED)
def test_deterministic(method: Method) -> None:
    features, target = _blobs()
    one = Discretizer(method, clusters=3, components=2).fit_transform(features, target)
    two = Discretizer(method, clusters=3, components=2).fit_transform(features.copy(), target)
    np.testing.assert_array_equal(one, two)
    assert one.dtype == np.int64
    assert one.shape == target.shape


@pytest.mark.parametrize("method", ["kmeans", "probe"])
def test_finds_the_classes(method: Method) -> None:
    features, target = _blobs()
    discretizer = Discretizer(method, clusters=3, components=2)
    symbols = discretizer.fit_transform(features, target)
    assert discretizer.num_symbols == 3
    counts = joint_histogram(symbols, np.zeros_like(symbols), target).sum(axis=1)
    assert mutual_information(counts / counts.sum()) > 1.5
    # Direction alone counts: rows are scaled to length one.
    np.testing.assert_array_equal(discretizer.transform(3 * features), discretizer.transform(features))


@pytest.mark.parametrize("method", ["kmeans", "probe"])
def test_lengths_of_rows_do_not_hide_their_directions(method: Method) -> None:
    features, target = _blobs()
    lengths = 10 ** np.random.default_rng(1).uniform(-2, 2, len(target)).astype(np.float32)
    symbols = Discretizer(method, clusters=3, components=2).fit_transform(
        lengths[:, None, None, None] * features, target
    )
    counts = joint_histogram(symbols, np.zeros_like(symbols), target).sum(axis=1)
    assert mutual_information(counts / counts.sum()) > 1.5


def test_quantile_fills_bins_equally() -> None:
    features, _ = _blobs()
    assert np.bincount(Discretizer("quantile", clusters=4).fit_transform(features)).tolist() == [75, 75, 75, 75]


def test_predictions_are_the_argmax() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 7))
    discretizer = Discretizer("predictions")
    np.testing.assert_array_equal(discretizer.fit_transform(logits), logits.argmax(axis=1))
    assert discretizer.num_symbols == 7


def test_probe_is_cross_fitted() -> None:
    """Noise that a probe can learn by heart says nothing of the target when the halves are kept apart."""
    rng = np.random.default_rng(0)
    features, target = rng.normal(size=(60, 200)), rng.integers(0, 2, 60)
    probe = Discretizer("probe", components=60)
    cross_fitted = (probe.fit_transform(features, target) == target).mean()
    by_heart = (probe.transform(features) == target).mean()
    assert by_heart > 0.95
    assert cross_fitted < 0.75


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", FITTED)
@pytest.mark.parametrize(
    "features",
    [np.zeros((20, 5)), np.ones((20, 5)), np.full((20, 5), 1e30), np.eye(3, 50), np.repeat(np.eye(2, 4), 10, axis=0)],
    ids=["dead", "constant", "huge", "few samples", "two distinct rows"],
)
def test_degenerate_features(method: Method, features: np.ndarray) -> None:
    target = np.arange(len(features)) % 3
    symbols = Discretizer(method, clusters=10, components=10).fit(features, target).transform(features)
    _, same_row = np.unique(features, axis=0, return_inverse=True)
    for row in np.unique(same_row):
        assert len(np.unique(symbols[same_row == row])) == 1


@pytest.mark.filterwarnings("error")
def test_probe_of_a_single_class() -> None:
    features, _ = _blobs(20)
    assert Discretizer("probe").fit_transform(features, np.full(20, 4)).tolist() == [4] * 20


def test_errors() -> None:
    features, target = _blobs(20)
    with pytest.raises(ValueError, match="method: expected kmeans"):
        Discretizer("k-means")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1 cluster"):
        Discretizer(clusters=0)
    broken = features.copy()
    broken[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="in 1 of 20 samples"):
        Discretizer().fit(broken)
    with pytest.raises(ValueError, match=r"shape \(samples, \.\.\.\)"):
        Discretizer().fit(features[:0])
    with pytest.raises(ValueError, match="a probe expects integer classes"):
        Discretizer("probe").fit(features)
    with pytest.raises(ValueError, match="a probe expects integer classes"):
        Discretizer("probe").fit(features, target[:5])
    with pytest.raises(RuntimeError, match="not fitted"):
        Discretizer().transform(features)
    with pytest.raises(ValueError, match="expected 36 numbers per sample, as when fitted, got 18"):
        Discretizer().fit(features).transform(features[:, :2])
