"""The strong view, image by image as Pillow computes it."""

from collections.abc import Callable

import pytest
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from torch import Tensor

from kdlight.data.views.strong import OPERATIONS, StrongDraws, apply_strong, draw_strong
from kdlight.streams import Stream, make_generator

SIZE = 32
NO_CUTOUT = torch.tensor([[2.0, 2.0, 0.0]])  # outside the image
FILL = (125, 123, 114)


def signed(strength: float) -> float:
    return 0.3 * (2 * strength - 1)


def affine(image: Image.Image, *matrix: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "identity": lambda image, u: image,
    "auto_contrast": lambda image, u: ImageOps.autocontrast(image),
    "equalize": lambda image, u: ImageOps.equalize(image),
    "brightness": lambda image, u: ImageEnhance.Brightness(image).enhance(0.05 + 0.9 * u),
    "contrast": lambda image, u: ImageEnhance.Contrast(image).enhance(0.05 + 0.9 * u),
    "posterize": lambda image, u: ImageOps.posterize(image, int(4 + 4 * u)),
    "solarize": lambda image, u: ImageOps.solarize(image, 256 * u),
    "color": lambda image, u: ImageEnhance.Color(image).enhance(0.05 + 0.9 * u),
    "sharpness": lambda image, u: ImageEnhance.Sharpness(image).enhance(0.05 + 0.9 * u),
    "rotate": lambda image, u: image.rotate(100 * signed(u)),
    "shear_x": lambda image, u: affine(image, 1, signed(u), 0, 0, 1, 0),
    "shear_y": lambda image, u: affine(image, 1, 0, 0, signed(u), 1, 0),
    "translate_x": lambda image, u: affine(image, 1, 0, signed(u) * SIZE, 0, 1, 0),
    "translate_y": lambda image, u: affine(image, 1, 0, 0, 0, 1, signed(u) * SIZE),
}


@pytest.fixture
def images() -> Tensor:
    """Of different ranges, so that contrast has something to stretch; one is of a single colour."""
    generator = make_generator(Stream.STRONG_VIEW, 0)
    noise = torch.rand(24, 3, SIZE, SIZE, generator=generator) * torch.linspace(20, 250, 24)[:, None, None, None]
    smooth = torch.nn.functional.avg_pool2d(noise, 3, stride=1, padding=1)
    smooth[5] = 77
    return smooth.to(torch.uint8)


def to_pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy())


def to_tensor(image: Image.Image) -> Tensor:
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(SIZE, SIZE, len(image.getbands())).permute(2, 0, 1)


def choices(operation: str, strengths: Tensor) -> StrongDraws:
    """The operation once, then the identity."""
    operations = torch.zeros(len(strengths), 2, dtype=torch.long)
    operations[:, 0] = OPERATIONS.index(operation)
    return StrongDraws(operations, strengths[:, None].expand(-1, 2), NO_CUTOUT.expand(len(strengths), -1))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("channels", [3, 1])
def test_every_image_is_what_pillow_makes_of_it(images: Tensor, operation: str, channels: int) -> None:
    images = images[:, :channels]
    strengths = torch.linspace(0, 0.99, len(images))
    found = apply_strong(images, choices(operation, strengths), fill=FILL[:channels])
    expected = torch.stack(
        [to_tensor(PILLOW[operation](to_pillow(x), u)) for x, u in zip(images, strengths.tolist(), strict=True)]
    )
    difference = (found.int() - expected.int()).abs()
    if operation.startswith(("rotate", "shear", "translate")):
        # Pillow steps from pixel to pixel in 65536ths, so a border may round to the other side.
        assert (difference > 0).double().mean() < 2e-3
    else:
        assert difference.max() <= 1
        assert (difference > 0).double().mean() < 2e-2
    if operation not in ("identity", "color" if channels == 1 else ""):
        assert not torch.equal(found, images)


def test_each_image_has_its_own_operations_in_order(images: Tensor) -> None:
    draws = draw_strong(24, generator=make_generator(Stream.STRONG_VIEW, 3))
    whole = apply_strong(images, draws, fill=FILL)
    order = torch.randperm(24, generator=make_generator(Stream.STRONG_VIEW, 4))
    shuffled = apply_strong(images[order], StrongDraws(*(choice[order] for choice in draws)), fill=FILL)
    assert torch.equal(shuffled, whole[order])
    for place in range(24):
        alone = apply_strong(images[place : place + 1], StrongDraws(*(c[place : place + 1] for c in draws)), fill=FILL)
        assert torch.equal(alone[0], whole[place])
    turned = torch.tensor([[OPERATIONS.index("rotate"), OPERATIONS.index("translate_x")]])
    strength, kept = torch.tensor([[0.9, 0.8]]), NO_CUTOUT
    one, other = (
        apply_strong(images[:1], StrongDraws(turned[:, o], strength[:, o], kept), fill=FILL) for o in ([0, 1], [1, 0])
    )
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("row", "column", "side"), [(0.5, 0.3, 0.6), (0.01, 0.99, 0.9), (0.99, 0.02, 0.3)])
def test_the_square_is_pillows_rectangle(images: Tensor, row: float, column: float, side: float) -> None:
    cutout = torch.tensor([[row, column, side]])
    draws = StrongDraws(torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2), cutout)
    size = side * 0.5 * SIZE
    left, top = (int(max(0, place * SIZE - size / 2)) for place in (column, row))
    image = to_pillow(images[0])
    ImageDraw.Draw(image).rectangle((left, top, min(SIZE, left + size), min(SIZE, top + size)), FILL)
    assert torch.equal(apply_strong(images[:1], draws, fill=FILL)[0], to_tensor(image))


def test_draws_are_uniform_and_independent() -> None:
    operations, strengths, cutout = draw_strong(28_000, generator=make_generator(Stream.STRONG_VIEW, 1))
    for place in range(2):
        counts = torch.bincount(operations[:, place], minlength=len(OPERATIONS))
        assert (counts - 2000).abs().max() < 5 * 2000**0.5
    rows = torch.cat([operations, strengths, cutout], 1).T.double()
    assert (rows.corrcoef() - torch.eye(7)).abs().max() < 5 / 28_000**0.5
    assert rows[2:].mean(1).tolist() == pytest.approx([0.5] * 5, abs=0.01)
