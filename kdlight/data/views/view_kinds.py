"""The kinds of random views (augmented versions) of images.

A kind says which random choices determine a view, and how they are applied to whole batches.

The choices for all samples of an epoch are tensors by name, such as ``"0.shifts"`` for the shifts of the first view.
They can therefore be stored and replayed. A teacher cache does this, because the student must see exactly the views for
which the cache holds the teacher's outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from kdlight.data.views.crops import crop, draw_crops, flip
from kdlight.data.views.strong import StrongDraws, apply_strong, draw_strong
from kdlight.streams import Stream, make_generator

STRONG = "strong"  # the choices for a strongly augmented view have names that begin with this


class ViewKind(Protocol):
    """A kind of random view."""

    def draw(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the random choices of one view for `count` samples: tensors (count, …) by name."""

    def apply(self, images: Tensor, choices: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
        """Make one batch (n, channels, height, width) for each view; `choices` has the choices of each view."""

    def describe(self) -> dict[str, Any]:
        """Describe everything that determines a view except its random choices."""


@dataclass(frozen=True)
class PaddedCrops:
    """Random crops of the zero-padded image, and mirroring: the standard for small images.

    Attributes:
        padding: Width of the black border; at most 127, because shifts are stored as uint8 and can be twice this width.
        mirror: Whether an image may be flipped.
    """

    padding: int
    mirror: bool

    def draw(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw ``shifts`` (count, 2) uint8 and, if images are mirrored, ``flipped`` (count,) bool."""
        draws = draw_crops(count, padding=self.padding, flip=self.mirror, generator=generator)
        shifts = {"shifts": draws.shifts.to(torch.uint8)}
        return {**shifts, "flipped": draws.flipped} if self.mirror else shifts

    def apply(self, images: Tensor, choices: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
        """Pad, crop and flip the whole images (n, channels, height, width), once for each view."""
        return [
            crop(images, chosen["shifts"], padding=self.padding, flipped=chosen.get("flipped")) for chosen in choices
        ]

    def describe(self) -> dict[str, Any]:
        """Return the kind of crop, its padding, and whether images are mirrored."""
        return {"crop": "padded", **asdict(self)}


@dataclass(frozen=True)
class ResizedCrops:
    """Crops of random size and shape, resized, and mirroring: the standard for photographs.

    Images are cropped when they are decoded (`kdlight.data.sources.image_files`). `apply` gets one batch with the crops
    of all views: first those of the first view, and so on.

    Attributes:
        mirror: Whether an image may be flipped.
    """

    mirror: bool = True

    def draw(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the seeds of the crops, ``crop`` (count,) int64. If images are mirrored, also ``flipped`` (count,) bool.

        Only a seed is drawn here, because the crop also depends on the size of the image, which is not known before the
        image is decoded.
        """
        seeds = torch.randint(2**62, (count,), generator=generator)
        if not self.mirror:
            return {"crop": seeds}
        return {"crop": seeds, "flipped": torch.rand(count, generator=generator) < 0.5}

    def apply(self, images: Tensor, choices: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
        """Flip the crops (views * n, channels, height, width), which begin with all crops of the first view."""
        parts = images.chunk(len(choices))
        return [
            flip(part, chosen["flipped"]) if self.mirror else part for part, chosen in zip(parts, choices, strict=True)
        ]

    def describe(self) -> dict[str, Any]:
        """Return the kind of crop, and whether images are mirrored."""
        return {"crop": "resized", **asdict(self)}


def draw_views(kind: ViewKind, count: int, *, seed: int, epoch: int, views: int, strong: bool) -> dict[str, Tensor]:
    """Draw the choices for all samples of an epoch at once, so that a sample's views do not depend on its batch."""
    drawn = {}
    for view in range(views):
        choices = kind.draw(count, make_generator(Stream.VIEW, seed, epoch, view))
        drawn.update({f"{view}.{name}": choice for name, choice in choices.items()})
    if strong:
        choices = draw_strong(count, generator=make_generator(Stream.STRONG_VIEW, seed, epoch))._asdict()
        choices["operations"] = choices["operations"].to(torch.uint8)
        drawn.update({f"{STRONG}.{name}": choice for name, choice in choices.items()})
    return drawn


def apply_views(kind: ViewKind, images: Tensor, chosen: Mapping[str, Tensor], fill: Sequence[float]) -> Tensor:
    """Make the views of a batch.

    Args:
        kind: The kind of view.
        images: The uint8 batch that `kind.apply` expects: (n, …) for `PaddedCrops`; for `ResizedCrops` (views * n, …),
            already cropped, beginning with all crops of the first view.
        chosen: The choices of `draw_views` for these samples.
        fill: Value of each channel, in [0, 255], for the square that strong augmentation cuts out of an image.

    Returns:
        The views, concatenated along the batch axis: the first views of all images, their second views, and so on. The
        last view is strongly augmented (`kdlight.data.views.strong`) if `chosen` has choices for strong augmentation.
    """
    results = kind.apply(images, [select_choices(chosen, str(view)) for view in range(count_views(chosen))])
    strong = select_choices(chosen, STRONG)
    if strong:
        results[-1] = apply_strong(results[-1], StrongDraws(**strong), fill=fill)
    return results[0] if len(results) == 1 else torch.cat(results)


def count_views(chosen: Mapping[str, Tensor]) -> int:
    """Return the number of views for which there are choices.

    The strong operations do not count as a view of their own, because they are applied to the last of the views.
    """
    return len({name.partition(".")[0] for name in chosen} - {STRONG})


def select_choices(chosen: Mapping[str, Tensor], view: str) -> dict[str, Tensor]:
    """Return the choices of one view, with the prefix removed from their names: ``"0.shifts"`` becomes ``"shifts"``."""
    return {name.partition(".")[2]: choice for name, choice in chosen.items() if name.partition(".")[0] == view}
