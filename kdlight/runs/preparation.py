"""How images are prepared for a student. A run saves this, so that the student can be used without the data module."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from kdlight.data.base.image_module import ImageDataModule
from kdlight.data.views.crops import normalize
from kdlight.errors import UserError
from kdlight.files import replace_file


class Preparation(NamedTuple):
    """How images are prepared for a network, and the classes that its logits stand for.

    Attributes:
        class_names: The names of the classes, in the order of the logits.
        image_shape: (channels, height, width) of the network's input.
        resize_size: Length to which the shorter side is resized before the centre crop.
        mean: Mean per channel, for pixels in [0, 1].
        std: Standard deviation per channel, for pixels in [0, 1].
    """

    class_names: Sequence[str]
    image_shape: Sequence[int]
    resize_size: int
    mean: Sequence[float]
    std: Sequence[float]

    @classmethod
    def of(cls, data: ImageDataModule) -> "Preparation":
        """Read the preparation from a data module. If it has no ``resize_size``, its images' shorter side is taken."""
        names = [str(name) for name in data.class_names]
        resize_size = getattr(data, "resize_size", min(data.image_shape[1:]))
        return cls(names, list(data.image_shape), resize_size, list(data.mean), list(data.std))

    @classmethod
    def read(cls, file: Path) -> "Preparation":
        """Read a file that `write` wrote.

        Raises:
            UserError: If the file has another format.
        """
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(f"{file}: expected {', '.join(cls._fields)} as JSON ({error}); remove the file") from None

    def write(self, file: Path) -> None:
        """Write the preparation as JSON."""
        with replace_file(file) as draft:
            draft.write_text(json.dumps(self._asdict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def prepare(self, image: Tensor) -> Tensor:
        """Resize a decoded image and crop its centre; make it grey if the network's input has one channel.

        Args:
            image: (3, height, width) uint8.

        Returns:
            (channels, height, width) uint8, of `image_shape`.
        """
        from torchvision.transforms.v2 import functional  # imported here because the import takes a second

        channels, height, width = self.image_shape
        if channels == 1:
            image = functional.rgb_to_grayscale(image)
        resized: Any = functional.resize(image, [self.resize_size], antialias=True)
        middle: Tensor = functional.center_crop(resized, [height, width])
        return middle

    def normalize(self, pixels: Tensor) -> Tensor:
        """Normalise uint8 images (batch, channels, height, width) for the network."""
        return normalize(pixels, self.mean, self.std)
