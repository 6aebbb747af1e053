"""The metric counts what the histogram counts, in any number of batches and processes."""

import os
import socket

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing

from kdlight.information.broja_solver import broja
from kdlight.information.discretizer import Discretizer
from kdlight.information.histogram import joint_histogram
from kdlight.metrics import PartialInformationDecomposition

SIZES = (3, 4, 2)


def samples(count=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(2, (count,), generator=generator)
    noise = torch.rand(2, count, generator=generator)
    first = torch.where(noise[0] < 0.7, target, torch.tensor(2))
    second = torch.where(noise[1] < 0.5, first, 3 * target)
    return first, second, target


def test_batches_add_up_to_the_histogram():
    metric = PartialInformationDecomposition(*SIZES)
    first, second, target = samples()
    for part in range(0, 200, 60):
        metric.update(first[part : part + 60], second[part : part + 60], target[part : part + 60])
    expected = joint_histogram(first.numpy(), second.numpy(), target.numpy(), SIZES)
    assert metric.counts.dtype == torch.int64
    np.testing.assert_array_equal(metric.counts.numpy(), expected)
    atoms = metric.compute()
    for name, value in broja(expected / expected.sum(), tolerance=1e-6)._asdict().items():
        assert atoms[name].item() == pytest.approx(value, abs=1e-6)
    assert atoms["gap"] <= 1e-6
    metric.reset()
    assert not metric.counts.any()


def test_forward_gives_the_batch_and_keeps_the_sum():
    metric = PartialInformationDecomposition(*SIZES)
    first, second, target = samples()
    of_batch = metric(first[:100], second[:100], target[:100])
    metric(first[100:], second[100:], target[100:])
    alone = PartialInformationDecomposition(*SIZES)
    alone.update(first[:100], second[:100], target[:100])
    assert of_batch == alone.compute()
    assert int(metric.counts.sum()) == 200


def test_features_go_through_their_discretizer():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 300)
    features = np.eye(3, 5)[target] + 0.1 * rng.standard_normal((300, 5))
    discretizer = Discretizer(clusters=3).fit(features[:150])
    metric = PartialInformationDecomposition(discretizer, 3, 3)
    metric.update(torch.from_numpy(features[150:]), torch.from_numpy(target[150:]), torch.from_numpy(target[150:]))
    expected = joint_histogram(discretizer.transform(features[150:]), target[150:], target[150:], (3, 3, 3))
    np.testing.assert_array_equal(metric.counts.numpy(), expected)
    assert metric.compute()["redundant"] == pytest.approx(np.log2(3), abs=0.02)


def test_unlabelled_samples_are_left_out():
    metric = PartialInformationDecomposition(*SIZES)
    metric.update(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([-1, 1]))
    assert int(metric.counts.sum()) == 1


def test_errors():
    with pytest.raises(ValueError, match="at least 1 symbol, got 0"):
        PartialInformationDecomposition(0, 2, 2)
    with pytest.raises(ValueError, match="first: expected a fitted Discretizer"):
        PartialInformationDecomposition(Discretizer(), 2, 2)
    metric = PartialInformationDecomposition(*SIZES)
    with pytest.raises(ValueError, match="no sample was counted"), pytest.warns(UserWarning, match="before"):
        metric.compute()
    with pytest.raises(ValueError, match=r"features need a fitted Discretizer"):
        metric.update(torch.zeros(2), torch.zeros(2, dtype=int), torch.zeros(2, dtype=int))
    with pytest.raises(ValueError, match=r"second: expected integers of shape \(2,\)"):
        metric.update(torch.zeros(2, dtype=int), torch.zeros(3, dtype=int), torch.zeros(2, dtype=int))
    with pytest.raises(ValueError, match=r"target: expected integers of shape \(2,\), got torch.float32 of \(2,\)$"):
        metric.update(torch.zeros(2, dtype=int), torch.zeros(2, dtype=int), torch.zeros(2))
    metric.update(torch.tensor([0, 3]), torch.tensor([0, 0]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="1 samples had symbols out of range: the metric was built for 3 x 4 x 2"):
        metric.compute()


def process(rank, port, results):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    metric = PartialInformationDecomposition(*SIZES)
    first, second, target = samples()
    # Unequal shares: averaging the atoms, or the distributions, of the processes would be wrong.
    share = slice(0, 50) if rank == 0 else slice(50, 200)
    metric.update(first[share], second[share], target[share])
    atoms = {name: value.item() for name, value in metric.compute().items()}
    results[rank] = atoms | {"own samples": int(metric.counts.sum())}
    torch.distributed.destroy_process_group()


def test_two_processes_sum_exactly():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        results = manager.dict()
        torch.multiprocessing.spawn(process, (port, results), nprocs=2)
        both = dict(results)
    metric = PartialInformationDecomposition(*SIZES)
    metric.update(*samples())
    expected = {name: value.item() for name, value in metric.compute().items()}
    assert both[0] == expected | {"own samples": 50}
    assert both[1] == expected | {"own samples": 150}
