"""The means of the loss's terms over an epoch."""

import copy

import pytest
import torch

from kdlight.methods.base.epoch_means import EpochMeans


def test_each_step_counts_by_its_samples_also_after_a_checkpoint():
    whole, resumed = EpochMeans(), EpochMeans()
    whole.add({"first": torch.tensor(1.0), "second": torch.tensor(4.0)}, samples=30)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()), torch.device("cpu"))  # a saved checkpoint is a copy
    for means in (whole, resumed):
        means.add({"second": torch.tensor(8.0), "first": torch.tensor(3.0)}, samples=10)
        assert means.samples == 40
        assert {name: mean.item() for name, mean in means.compute().items()} == {"first": 1.5, "second": 5.0}
    whole.reset()
    assert whole.compute() == {}


def test_a_step_with_other_terms_is_refused():
    means = EpochMeans()
    means.add({"first": torch.tensor(1.0)}, samples=1)
    with pytest.raises(ValueError, match="expected every step of this epoch to have the terms"):
        means.add({"second": torch.tensor(1.0)}, samples=1)
