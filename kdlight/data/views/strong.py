"""Strongly augmented views as in semi-supervised learning: two random operations out of fourteen, then cutout.

The operations are those of RandAugment (Cubuk et al. 2020, https://arxiv.org/abs/1909.13719). They are drawn as in the
code of MLKD (Jin et al., CVPR 2023), which follows FixMatch (Sohn et al. 2020, https://arxiv.org/abs/2001.07685).
MLKD's code calls RandAugment(2, 10) for two operations of strength 10, but the 10 has no effect there, because every
operation draws its strength uniformly from its whole range. The results equal those of Pillow's operations, up to
rounding. Cutout fills a random square of the image with one colour.

Every image has its own operations and strengths. The operations are applied in two rounds, one operation per image and
round. A round has three steps. A gather moves pixels (rotation, shear, translation), a second gather looks up new pixel
values (brightness, contrast and similar operations), and a blend changes colour or sharpness. Each step is applied to
the whole batch, but changes only the images for which one of the step's operations was drawn. No step makes the CPU
wait for the GPU.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

OPERATIONS = (
    *("identity", "auto_contrast", "equalize", "brightness", "contrast", "posterize", "solarize"),
    *("color", "sharpness", "rotate", "shear_x", "shear_y", "translate_x", "translate_y"),
)
GREY = (19595, 38470, 7471)  # the weights of red, green and blue in Pillow's grey image, times 65536


class StrongDraws(NamedTuple):
    """The random choices for a set of images.

    Attributes:
        operations: (n, 2) int64: for each operation its index in `OPERATIONS`, in the order of application.
        strengths: (n, 2) in [0, 1): for each operation a position in the range of its strength, from one end (0) to the
            other (1).
        cutout: (n, 3) in [0, 1): the row and column of the square's middle as fractions of the image's height and
            width, and the square's side as a fraction of half the image's width.
    """

    operations: Tensor
    strengths: Tensor
    cutout: Tensor


def draw_strong(count: int, *, generator: torch.Generator) -> StrongDraws:
    """Draw the operations, strengths and cutout squares of `count` images, all from uniform distributions."""
    return StrongDraws(
        torch.randint(0, len(OPERATIONS), (count, 2), generator=generator),
        torch.rand(count, 2, generator=generator),
        torch.rand(count, 3, generator=generator),
    )


def apply_strong(images: Tensor, draws: StrongDraws, *, fill: Sequence[float]) -> Tensor:
    """Apply to every image the two operations and the cutout that were drawn for it.

    Args:
        images: uint8, (n, 1 or 3 channels, height, width), as loaded or already cropped and flipped.
        draws: The random choices, one row per image.
        fill: The value of each channel, in [0, 255], with which the cutout square is filled.
    """
    for operations, strengths in zip(draws.operations.T, draws.strengths.T, strict=True):
        strengths = strengths.to(torch.float32)
        images = _move(images, operations, strengths)
        images = _look_up(images, operations, strengths)
        images = _blend(images, operations, strengths)
    return _cut_out(images, draws.cutout, fill)


def _is_operation(operations: Tensor, name: str) -> Tensor:
    return operations == OPERATIONS.index(name)


def _move(images: Tensor, operations: Tensor, strengths: Tensor) -> Tensor:
    """Rotate images by up to 30 degrees, or shear or translate them by up to 0.3 of a side.

    Each pixel of the result comes from a point of the image. It takes the value of the image's pixel at this point,
    without interpolation. It is black if the point lies outside the image.
    """
    count, channels, height, width = images.shape
    signed = 2 * strengths - 1
    angle = torch.where(_is_operation(operations, "rotate"), signed * math.radians(30), 0.0)
    amount = {
        name: torch.where(_is_operation(operations, name), 0.3 * signed, 0.0)[:, None, None]
        for name in ("shear_x", "shear_y", "translate_x", "translate_y")
    }
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    rows = (torch.arange(height, device=images.device) + 0.5)[None, :, None]
    columns = (torch.arange(width, device=images.device) + 0.5)[None, None, :]
    # A rotation turns the image around its middle; a shear keeps the image's upper left corner in place.
    down, right = rows - height / 2, columns - width / 2
    from_column = cosine * right - sine * down + width / 2 + amount["shear_x"] * rows + amount["translate_x"] * width
    from_row = sine * right + cosine * down + height / 2 + amount["shear_y"] * columns + amount["translate_y"] * height
    from_column, from_row = from_column.floor().long(), from_row.floor().long()
    inside = (from_column >= 0) & (from_column < width) & (from_row >= 0) & (from_row < height)
    places = from_row.clamp(0, height - 1) * width + from_column.clamp(0, width - 1)
    moved = images.flatten(2).gather(2, places.view(count, 1, -1).expand(-1, channels, -1)).view_as(images)
    return torch.where(inside[:, None], moved, 0)


def _look_up(images: Tensor, operations: Tensor, strengths: Tensor) -> Tensor:
    """Map the pixel values of each channel to new ones by a look-up table (n, channels, 256)."""
    count, channels = images.shape[:2]
    values = images.flatten(2).long()
    level = torch.arange(256, device=images.device, dtype=torch.float32)
    strength = strengths[:, None, None]
    table = level.expand(count, channels, -1)
    lowest, highest = values.amin(2, keepdim=True), values.amax(2, keepdim=True)
    span = highest - lowest
    stretched = torch.where(span > 0, ((level - lowest) * 255 / span.clamp(min=1)).floor().clamp(0, 255), level)
    mean = (_to_grey(images).flatten(1).mean(1) + 0.5).floor()[:, None, None]
    bits = (4 + 4 * strength).floor()
    step = 2 ** (8 - bits)
    tables = {
        "auto_contrast": stretched,
        "equalize": _equalize(values, level),
        "brightness": _compute_factor(strength) * level,
        "contrast": mean + _compute_factor(strength) * (level - mean),
        "posterize": (level / step).floor() * step,
        "solarize": torch.where(level < 256 * strength, level, 255 - level),
    }
    for name, other in tables.items():
        table = torch.where(_is_operation(operations, name)[:, None, None], other, table)
    return table.gather(2, values).to(torch.uint8).view_as(images)


def _equalize(values: Tensor, level: Tensor) -> Tensor:
    histogram = torch.zeros(*values.shape[:2], 256, dtype=torch.long, device=values.device)
    histogram = histogram.scatter_add_(2, values, torch.ones_like(values))
    last = histogram.gather(2, values.amax(2, keepdim=True))
    step = (values.shape[2] - last) // 255
    before = histogram.cumsum(2) - histogram
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=255).to(level.dtype)
    return torch.where(step > 0, table, level)


def _blend(images: Tensor, operations: Tensor, strengths: Tensor) -> Tensor:
    """Change the colour or the sharpness of an image by mixing it with its grey or its smoothed version."""
    pixels = images.to(torch.float32)
    color, sharpness = (_is_operation(operations, name)[:, None, None, None] for name in ("color", "sharpness"))
    other = torch.where(color, _to_grey(images)[:, None], torch.where(sharpness, _smooth(pixels), pixels))
    mixed = other + _compute_factor(strengths)[:, None, None, None] * (pixels - other)
    return torch.where(color | sharpness, mixed.clamp(0, 255).to(torch.uint8), images)


def _compute_factor(strength: Tensor) -> Tensor:
    return 0.05 + 0.9 * strength


def _to_grey(images: Tensor) -> Tensor:
    """Return the grey image (n, height, width), rounded as Pillow rounds it."""
    if images.shape[1] == 1:
        return images[:, 0].to(torch.float32)
    red, green, blue = (weight * channel.int() for weight, channel in zip(GREY, images.unbind(1), strict=True))
    return ((red + green + blue + 32768) // 65536).to(torch.float32)


def _smooth(pixels: Tensor) -> Tensor:
    """Average 3x3 neighbourhoods with weight 5 for the middle pixel and 1 for the others; leave border pixels as is."""
    smoothed = pixels.clone()
    sums = functional.avg_pool2d(pixels, 3, stride=1, divisor_override=1) + 4 * pixels[:, :, 1:-1, 1:-1]
    smoothed[:, :, 1:-1, 1:-1] = (sums / 13 + 0.5).floor()
    return smoothed


def _cut_out(images: Tensor, cutout: Tensor, fill: Sequence[float]) -> Tensor:
    """Fill a square whose side is at most half the image's width.

    A square that would begin above or left of the image is moved to the border and keeps its size. If a square extends
    beyond the lower or right border, the part outside the image is cut off.
    """
    height, width = images.shape[2:]
    side = cutout[:, 2:] * 0.5 * width
    inside = []
    for place, size in zip(cutout[:, :2].T, (height, width), strict=True):
        first = (place[:, None] * size - side / 2).clamp(min=0).floor()
        pixel = torch.arange(size, device=images.device)
        inside.append((pixel >= first) & (pixel <= (first + side).floor()))
    square = (inside[0][:, None, :, None] & inside[1][:, None, None, :]).expand_as(images)
    filled = torch.stack([torch.full_like(images[:, 0], round(value)) for value in fill], dim=1)
    return torch.where(square, filled, images)
