import pytest
import torch

from kdlight.data.base.loader import TrainingIndices
from kdlight.data.base.splits import add_label_noise, choose_per_class, draw_stratified_order
from kdlight.streams import Stream, make_generator


@pytest.mark.parametrize("counts", [(30, 30, 30), (60, 25, 5), (1, 1, 40)])
def test_every_prefix_has_the_proportions_of_the_whole(counts: tuple[int, ...]) -> None:
    target = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    order = draw_stratified_order(target, make_generator(Stream.VALIDATION_SPLIT, 0))
    assert order.sort().values.equal(torch.arange(len(target)))
    for size in range(1, len(target)):
        found = torch.bincount(target[order[:size]], minlength=len(counts))
        share = torch.tensor(counts) * size / len(target)
        assert (found - share).abs().max() <= 1


def test_the_order_is_random_within_and_between_classes() -> None:
    target = torch.arange(4).repeat(25)
    orders = [draw_stratified_order(target, make_generator(Stream.VALIDATION_SPLIT, seed)) for seed in range(200)]
    assert orders[0].equal(draw_stratified_order(target, make_generator(Stream.VALIDATION_SPLIT, 0)))
    assert len({int(order[0]) for order in orders}) > 70  # of 100; 87 are expected
    assert {int(target[order[0]]) for order in orders} == {0, 1, 2, 3}


def test_that_many_samples_of_each_class_are_chosen() -> None:
    target = torch.tensor([-1, 2, 2, 0, 0, 0, 2, -1, -1, 2])
    kept = choose_per_class(target, 2, make_generator(Stream.TRAIN_PER_CLASS, 0))
    assert kept.equal(kept.sort().values)
    assert torch.bincount(target[kept] + 1).tolist() == [2, 2, 0, 2]
    others = [choose_per_class(target, 2, make_generator(Stream.TRAIN_PER_CLASS, seed)) for seed in range(20)]
    assert len({tuple(other.tolist()) for other in others}) > 5


def test_the_noise_is_not_in_the_order_of_any_epoch():
    target = torch.zeros(1000, dtype=torch.int64)
    wrong = add_label_noise(target, 0.4, 10) != target
    for epoch in range(8):
        indices = TrainingIndices(1000, batch_size=100, seed=0)
        indices.set_epoch(epoch)
        order = torch.cat(list(indices))
        assert 0.2 < wrong[order[:400]].double().mean() < 0.6, f"epoch {epoch} begins with the noise"
