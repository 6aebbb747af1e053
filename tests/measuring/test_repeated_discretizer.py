"""From features of batches to symbols."""

import numpy as np
import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.information.entropies import mutual_information
from kdlight.information.histogram import joint_histogram
from kdlight.measuring.repeated_discretizer import RepeatedDiscretizer


def batches(samples, size=50, classes=10, spread=0.05, seed=0):
    """Features in as many directions as there are classes, as images of one row."""
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.arange(samples) % classes)
    rows = np.eye(classes, 12)[target] + spread * rng.standard_normal((samples, 12))
    whole = Batch(torch.tensor(rows).float(), torch.tensor(target), torch.arange(samples))
    places = torch.arange(samples).split(size)
    return [Batch(whole.images[place], whole.target[place], whole.index[place]) for place in places]


def features(batch):
    return {"rows": batch.images}


def test_each_symbolisation_is_fitted_on_images_of_its_own():
    discretizer = RepeatedDiscretizer(clusters=4, repeats=5)
    fitted = discretizer.fit(features, batches(500), counted=300)
    symbols = discretizer.transform(features, batches(300, seed=1), fitted)["rows"]
    assert symbols.shape == (5, 300)
    assert len({tuple(row) for row in symbols}) > 1
    again = discretizer.transform(features, batches(300, seed=1), discretizer.fit(features, batches(500), counted=300))
    np.testing.assert_array_equal(symbols, again["rows"])


def test_the_size_of_a_batch_makes_no_difference():
    discretizer = RepeatedDiscretizer(repeats=2)
    one, other = (discretizer.fit(features, batches(400, size), counted=300) for size in (7, 400))
    counted = batches(300, seed=1)
    np.testing.assert_array_equal(
        discretizer.transform(features, counted, one)["rows"],
        discretizer.transform(features, batches(300, 11, seed=1), other)["rows"],
    )


@pytest.mark.parametrize(
    ("spread", "counted", "least", "most"), [(0.05, 300, 10, 20), (3.0, 100, 2, 5), (3.0, 10_000, 10, 20)]
)
def test_auto_takes_as_many_clusters_as_the_occupied_cells_allow(spread, counted, least, most):
    """Classes that are told apart occupy few cells, so few images bear many clusters."""
    discretizer = RepeatedDiscretizer(repeats=2)
    fitted = discretizer.fit(features, batches(600, spread=spread), counted=counted)
    assert least <= fitted["rows"][0].clusters <= most


def test_three_hundred_images_of_ten_classes_are_not_capped():
    discretizer = RepeatedDiscretizer()
    parts = batches(1000), batches(300, seed=1)
    symbols = discretizer.transform(features, parts[1], discretizer.fit(features, parts[0], counted=300))["rows"]
    target = torch.cat([batch.target for batch in parts[1]]).numpy()
    counts = joint_histogram(symbols[0], np.zeros_like(target), target).sum(axis=1)
    assert mutual_information(counts / counts.sum()) > 3


def test_features_that_are_not_finite_have_no_symbols():
    broken = [batch._replace(images=batch.images * torch.nan) for batch in batches(100)]
    discretizer = RepeatedDiscretizer(clusters=2, repeats=1)
    assert discretizer.fit(features, broken, counted=100) == {}
    assert discretizer.transform(features, broken, discretizer.fit(features, batches(100), counted=100)) == {}
