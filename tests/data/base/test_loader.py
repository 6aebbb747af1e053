import pytest
import torch

from kdlight.data.base.loader import BatchIndices, BatchLoader, TrainingIndices, TrainingLoader, make_evaluation_indices
from kdlight.data.base.samples import Samples
from kdlight.errors import UserError


def seen(indices: BatchIndices) -> list[int]:
    return [place for batch in indices for place in batch.tolist()]


@pytest.fixture
def samples() -> Samples:
    images = torch.arange(23, dtype=torch.uint8).view(23, 1, 1, 1).expand(23, 3, 4, 4)
    return Samples(images, torch.arange(23) % 5, {"coarse": torch.arange(23) % 2})


def test_a_batch_holds_the_chosen_samples(samples: Samples) -> None:
    batch = samples.fetch_batch(torch.tensor([20, 3]))
    assert batch.images[:, 0, 0, 0].tolist() == [20, 3]
    assert batch.images.shape == (2, 3, 4, 4)
    assert batch.target.tolist() == [0, 3]
    assert batch.index.tolist() == [20, 3]
    assert batch.targets["coarse"].tolist() == [0, 1]


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [96, 97, 103])
def test_training_processes_share_without_overlap(size: int, processes: int) -> None:
    shares = [TrainingIndices(size, batch_size=4, seed=0, processes=processes, rank=rank) for rank in range(processes)]
    places = [seen(share) for share in shares]
    assert len({len(place) for place in places}) == 1
    assert len({place for share in places for place in share}) == sum(map(len, places)) >= size - 2 * processes + 1
    # Every global batch is the batch of one process with the larger batch size.
    whole = TrainingIndices(size, batch_size=4 * processes, seed=0)
    for *parts, one in zip(*shares, whole, strict=False):
        if len(one) == 4 * processes:
            assert sorted(torch.cat(parts).tolist()) == sorted(one.tolist())


def test_the_shuffle_follows_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        indices = TrainingIndices(100, batch_size=8, seed=seed)
        indices.set_epoch(epoch)
        assert seen(indices) == seen(indices)
        return seen(indices)

    assert order(3, 5) == order(3, 5)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert sorted(order(3, 5)) == list(range(100))


@pytest.mark.parametrize(
    ("size", "batch_size", "lengths"),
    [(20, 8, [8, 8, 4]), (17, 8, [8, 8]), (16, 8, [8, 8]), (3, 8, [3]), (3, 1, [1, 1, 1])],
)
def test_a_last_batch_of_one_is_dropped(size: int, batch_size: int, lengths: list[int]) -> None:
    indices = TrainingIndices(size, batch_size=batch_size, seed=0)
    assert [len(batch) for batch in indices] == lengths
    assert len(indices) == len(lengths)


@pytest.mark.parametrize(("size", "processes", "batch_size"), [(100, 1, 32), (101, 2, 25), (7, 4, 2), (64, 2, 32)])
def test_evaluation_deals_every_image_once_in_equally_many_batches(size: int, processes: int, batch_size: int) -> None:
    shares = [
        make_evaluation_indices(size, batch_size=batch_size, processes=processes, rank=r) for r in range(processes)
    ]
    assert sorted(place for share in shares for place in seen(share)) == list(range(size))
    assert len({len(share) for share in shares}) == 1
    assert max(len(batch) for share in shares for batch in share) <= batch_size
    assert min(len(batch) for share in shares for batch in share) > 0
    if processes == 1:
        assert seen(shares[0]) == list(range(size))


def test_a_resumed_loader_goes_on_in_its_epoch_only(samples: Samples) -> None:
    def loader() -> TrainingLoader:
        return TrainingLoader(samples, TrainingIndices(23, batch_size=4, seed=0))

    first, second = loader(), loader()
    first.sampler.set_epoch(7)
    batches = iter(first)
    for _ in range(2):
        next(batches)
    second.load_state_dict(first.state_dict())
    second.sampler.set_epoch(7)
    rest = [batch.index.tolist() for batch in second]
    assert rest == [batch.index.tolist() for batch in batches]
    assert len(rest) == 4
    assert first.state_dict() == second.state_dict()
    second.sampler.set_epoch(8)
    assert len(list(second)) == 6


def test_an_epoch_of_other_random_streams_is_not_resumed(samples: Samples) -> None:
    loader = TrainingLoader(samples, TrainingIndices(23, batch_size=4, seed=0))
    with pytest.raises(UserError, match="version 1"):
        loader.load_state_dict({"epoch": 0, "fetched": 2})


def test_only_the_training_loader_has_an_epoch(samples: Samples) -> None:
    loader = BatchLoader(samples, make_evaluation_indices(23, batch_size=8))
    assert not hasattr(loader, "sampler")
    assert [len(batch.target) for batch in loader] == [8, 8, 7]
    assert len(loader) == 3
