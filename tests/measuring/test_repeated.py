"""A measurement that is repeated, with everything random drawn anew, gives a value in the interval of the first."""

import numpy as np
import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.measuring.comparison import Comparison
from kdlight.measuring.feature_pairs import FeaturePair
from kdlight.measuring.probe import Probe
from kdlight.measuring.repeated_discretizer import RepeatedDiscretizer
from kdlight.models.frozen import Frozen
from kdlight.models.zoo.resnet import resnet8

SHAPE = (1, 8, 8)
PAIRS = [FeaturePair("stage3", 2, 2)]
ATOMS = ("redundant", "unique_first", "unique_second")


def images(samples, seed):
    """Blurred prototypes of ten classes with noise: as many images as one likes."""
    prototypes = torch.randn(10, *SHAPE, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(10, (samples,), generator=generator)
    noise = torch.randn(samples, *SHAPE, generator=generator)
    return Batch(prototypes[target] + 1.2 * noise, target, torch.arange(samples))


def trained(seed, steps):
    torch.manual_seed(seed)
    model = resnet8(10, SHAPE)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for step in range(steps):
        batch = images(64, 1_000_000 * (seed + 1) + step)
        loss = torch.nn.functional.cross_entropy(model(batch.images), batch.target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Frozen(model)


def batches(batch, size=250):
    parts = zip(*(part.split(size) for part in batch[:3]), strict=True)
    return [Batch(*part) for part in parts]


def kept(samples, repetitions, student, **options):
    """How often the value of one repetition lies in the interval of another, over the atoms that were printed."""
    teacher, found = trained(0, 60), []
    for seed in range(repetitions):
        probe = Probe(batches(images(2_000, 10_000 + seed)), batches(images(samples, 20_000 + seed)))
        report = Comparison(teacher, probe, RepeatedDiscretizer(seed=seed, **options), PAIRS).measure(student)
        found.append(report.stages["stage3"].pid)
    shares = []
    for name in ATOMS:
        estimates = [getattr(pid, name) for pid in found if getattr(pid, name).estimable]
        if len(estimates) < 2:
            continue
        values = np.array([estimate.value for estimate in estimates])
        inside = np.array([(each.lower <= values) & (values <= each.upper) for each in estimates])
        shares.append((inside.sum() - len(values)) / (len(values) * (len(values) - 1)))
    return float(np.mean(shares)) if shares else None


def test_small():
    """Few repetitions, so few digits."""
    share = kept(300, 5, trained(1, 60), clusters=10, repeats=3)
    assert share is not None
    assert share >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("samples", [300, 10_000])
@pytest.mark.parametrize("steps", [0, 60], ids=["untrained", "trained"])
def test_twenty_seeds_of_everything(samples, steps):
    share = kept(samples, 20, trained(1, steps))
    assert share is not None
    assert 0.90 <= share <= 0.99
