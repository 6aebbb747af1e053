import itertools

import pytest
import torch

from kdlight.data.digits import DigitsDataModule
from kdlight.streams import Stream, derive_seed, make_generator


@pytest.mark.parametrize("numbers", [(), (0,), (0, 0), (0, 2), (7, 3, 1), (0, 0, 0, 0)])
def test_no_two_purposes_draw_alike(numbers):
    """About one place of 2,000 is the same in two shuffles that have nothing to do with each other."""
    drawn = {stream: torch.randperm(2000, generator=make_generator(stream, *numbers)) for stream in Stream}
    for one, other in itertools.combinations(Stream, 2):
        assert (drawn[one] == drawn[other]).sum() < 20, (one, other)


def test_neighbouring_seeds_epochs_and_large_seeds_do_not_meet():
    seeds = [0, 1, 2, 3, 2**32 - 1, 2**32, 2**33, 2**63]
    drawn = [derive_seed(stream, *pair) for stream in Stream for pair in itertools.product(seeds, repeat=2)]
    assert len(set(drawn)) == len(drawn)


def test_the_images_of_a_probe_are_not_the_first_of_any_epoch():
    data = DigitsDataModule(seed=0, batch_size=200)
    data.setup("fit")
    probed = set(torch.cat([batch.index for batch in data.choose_probe_batches("train", 200)]).tolist())
    loader = data.train_dataloader()
    for epoch in range(5):
        loader.sampler.set_epoch(epoch)
        first = next(iter(loader)).index.tolist()
        assert len(probed & set(first)) < 80, epoch  # 35 are expected, 200 where the streams meet
