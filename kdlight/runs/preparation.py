"""What an image goes through before a student sees it: kept with the run, for whoever uses the student."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from kdlight.data.base.image_module import ImageDataModule
from kdlight.data.views.crops import normalize
from kdlight.errors import UserError
from kdlight.files import replacing


class Preparation(NamedTuple):
    """How an image is prepared, and what the logits stand for.

    Attributes:
        class_names: In the order of the logits.
        image_shape: (channels, height, width) of what the network sees.
        resize_size: What the shorter side is resized to before the middle is cut out.
        mean: Per channel, for pixels in [0, 1].
        std: Per channel, for pixels in [0, 1].
    """

    class_names: Sequence[str]
    image_shape: Sequence[int]
    resize_size: int
    mean: Sequence[float]
    std: Sequence[float]

    @classmethod
    def of(cls, data: ImageDataModule) -> "Preparation":
        """Read it off a data module; images in memory have their size already, so others are resized to that."""
        names = [str(name) for name in data.class_names]
        resize_size = getattr(data, "resize_size", min(data.image_shape[1:]))
        return cls(names, list(data.image_shape), resize_size, list(data.mean), list(data.std))

    @classmethod
    def read(cls, file: Path) -> "Preparation":
        """Read a file that `write` has written.

        Raises:
            UserError: If it is another file.
        """
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(f"{file}: expected {', '.join(cls._fields)} as JSON ({error}); remove the file") from None

    def write(self, file: Path) -> None:
        """Write it as JSON."""
        with replacing(file) as draft:
            draft.write_text(json.dumps(self._asdict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def prepare(self, image: Tensor) -> Tensor:
        """Resize a decoded image and cut out its middle.

        Args:
            image: (3, height, width) uint8.

        Returns:
            (channels, height, width) uint8, of `image_shape`.
        """
        from torchvision.transforms.v2 import functional  # takes a second

        channels, height, width = self.image_shape
        if channels == 1:
            image = functional.rgb_to_grayscale(image)
        resized: Any = functional.resize(image, [self.resize_size], antialias=True)
        middle: Tensor = functional.center_crop(resized, [height, width])
        return middle

    def normalize(self, pixels: Tensor) -> Tensor:
        """Turn uint8 images (batch, channels, height, width) into what the network computes with."""
        return normalize(pixels, self.mean, self.std)
