from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchvision import transforms

from kdlight.data.views.crops import crop, draw_crops, flip, normalize
from kdlight.streams import Stream, make_generator


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (81, 3, 12, 10), dtype=torch.uint8, generator=make_generator(Stream.VIEW, 0))


def test_each_image_is_cut_at_its_own_place(images: Tensor) -> None:
    places = torch.cartesian_prod(torch.arange(9), torch.arange(9))
    padded = functional.pad(images, (4, 4, 4, 4))
    for place, image, (row, column) in zip(padded, crop(images, places, padding=4), places.tolist(), strict=True):
        assert torch.equal(image, place[:, row : row + 12, column : column + 10])


def test_only_the_chosen_images_are_mirrored(images: Tensor) -> None:
    flipped = torch.arange(81) % 3 == 0
    result = flip(images, flipped)
    assert torch.equal(result[flipped], images[flipped].flip(-1))
    assert torch.equal(result[~flipped], images[~flipped])


def test_same_outcomes_as_torchvision_and_as_often() -> None:
    image = torch.arange(1, 13, dtype=torch.uint8).view(1, 3, 4)
    count, padding = 7200, 1
    torch.manual_seed(0)
    theirs = transforms.Compose([transforms.RandomCrop((3, 4), padding=padding), transforms.RandomHorizontalFlip()])
    expected = Counter(theirs(image).numpy().tobytes() for _ in range(count))
    draws = draw_crops(count, padding=padding, flip=True, generator=make_generator(Stream.VIEW, 0))
    ours = flip(crop(image.expand(count, -1, -1, -1), draws.shifts, padding=padding), draws.flipped)
    found = Counter(outcome.numpy().tobytes() for outcome in ours)
    assert len(expected) == 18
    assert found.keys() == expected.keys()
    for outcome in expected:  # each 400 times, with a standard deviation of 19.4
        assert abs(found[outcome] - count / 18) < 5 * 19.4
        assert abs(expected[outcome] - count / 18) < 5 * 19.4


def test_draws_of_different_images_are_independent() -> None:
    shifts, flipped = draw_crops(20_000, padding=4, flip=True, generator=make_generator(Stream.VIEW, 1))
    columns = torch.stack([shifts[:-1, 0], shifts[:-1, 1], flipped[:-1], shifts[1:, 0], shifts[1:, 1], flipped[1:]])
    correlation = columns.double().corrcoef() - torch.eye(6)
    assert correlation.abs().max() < 5 / 20_000**0.5


def test_no_flip_where_none_is_wanted() -> None:
    assert not draw_crops(1000, padding=1, flip=False, generator=make_generator(Stream.VIEW, 0)).flipped.any()


def test_normalize_as_torchvision_does(images: Tensor) -> None:
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    expected = transforms.functional.normalize(images.float() / 255, list(mean), list(std))
    before = images.clone()
    torch.testing.assert_close(normalize(images, mean, std), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(images, before)
