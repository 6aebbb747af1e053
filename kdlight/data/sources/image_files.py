"""A split of image files, which worker processes decode when the images are needed.

Workers crop and resize; whole batches are mirrored and normalised on the device.
"""

import hashlib
import math
import os
import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kdlight.data.base.batch import Batch
from kdlight.data.base.samples import Split, pin_batch
from kdlight.data.sources.broken_files import check_intact, name_first
from kdlight.data.sources.decoding import decode
from kdlight.data.views.photographs import vary_photograph
from kdlight.errors import UserError

# The range of a random crop's area, as a fraction of the image's area, and the range of its width / height. These are
# the ranges of Szegedy et al. 2014, https://arxiv.org/abs/1409.4842.
AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
COUNTED = 20_000  # if an image is broken and its split is at most this large, all images of the split are checked


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def draw_box(seed: int, height: int, width: int) -> Box:
    """Draw a random box in an image of this size, by the algorithm of torchvision's ``RandomResizedCrop.get_params``.

    Szegedy et al. 2014, https://arxiv.org/abs/1409.4842, section 6. The box depends only on the seed and the size of
    the image. So it is the same in every worker process, whatever the worker decoded before.
    """
    stream = random.Random(seed)
    for _ in range(10):
        area = height * width * stream.uniform(*AREA)
        ratio = math.exp(stream.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        box_width, box_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            top, left = (int(stream.random() * (room + 1)) for room in (height - box_height, width - box_width))
            return Box(top, left, box_height, box_width)
    ratio = min(max(width / height, RATIO[0]), RATIO[1])
    box_width, box_height = min(width, round(height * ratio)), min(height, round(width / ratio))
    return Box((height - box_height) // 2, (width - box_width) // 2, box_height, box_width)


@dataclass(frozen=True)
class ImageFiles(Split):
    """A split whose images are files.

    Attributes:
        root: The folder to which `paths` are relative.
        paths: (n,) paths of the images, packed by `encode_paths`.
        target: (n,) int64 class numbers; -1 for an unlabelled sample.
        size: Height and width of the fetched images.
        resize: Length to which the shorter side is resized before the middle is cut out; unused if `crops` is given.
        workers: Number of processes that decode; 0: the calling process decodes.
        targets: Further (n,) int64 targets by name.
        crops: (views, n) seeds for `draw_box`, which draws a random crop of each image for each view (augmented
            version). None: the middle of each image is cut out.
        photographs: Whether random crops are also varied by `vary_photograph`.
        advice: What the user can do about a file that cannot be decoded; the error's message ends with this text.
    """

    root: Path
    paths: NDArray[np.bytes_]
    target: Tensor
    size: int
    resize: int
    workers: int
    targets: dict[str, Tensor] = field(default_factory=dict)
    crops: Tensor | None = None
    photographs: bool = False
    advice: str = "replace it by an intact copy, or take it away"

    def with_target(self, target: Tensor) -> Self:
        """Return a copy of the split with the classes `target` (n,)."""
        return replace(self, target=target)

    def select(self, index: Tensor) -> Self:
        """Return a split of the samples at `index` (m,), in that order."""
        crops = None if self.crops is None else self.crops[:, index]
        paths, target, targets = self.paths[index.numpy()], self.target[index], self._select_targets(index)
        return replace(self, paths=paths, target=target, targets=targets, crops=crops)

    def with_views(self, parameters: Mapping[str, Tensor]) -> Self:
        """Return a split that fetches a random crop of each image for each view (augmented version).

        Args:
            parameters: Random choices by name. A name that ends with ``.crop`` has the seeds (n,) of one view's crops.
        """
        crops = [choice for name, choice in parameters.items() if name.endswith(".crop")]
        return replace(self, crops=torch.stack(crops) if crops else None)

    def fetch_batch(self, index: Tensor) -> Batch:
        """Decode the samples at `index` (batch,) in the calling process."""
        return Batch(self.decode_batch(index.tolist()), self.target[index], index, self._select_targets(index))

    def fetch_batches(self, indices: Iterable[Tensor], *, pin_memory: bool = False) -> Iterator[Batch]:
        """Yield the batches one after another; worker processes decode a few batches in advance.

        Raises:
            UserError: If a file is missing or broken.
        """
        indices = list(indices)
        loader = DataLoader(
            _BatchDecoder(self),
            batch_size=None,
            sampler=[index.tolist() for index in indices],
            num_workers=self.workers,
            pin_memory=pin_memory,
            collate_fn=_return_unchanged,
            generator=torch.Generator(),  # otherwise the workers' seed would be drawn from the run's random numbers
        )
        for index, images in zip(indices, loader, strict=True):
            if isinstance(images, UserError):
                raise self.name_all_broken(images)
            batch = Batch(images, self.target[index], index, self._select_targets(index))
            yield pin_batch(batch) if pin_memory else batch

    def decode_batch(self, places: Sequence[int]) -> Tensor:
        """Decode the m images at the positions `places` of the split.

        Returns:
            (views * m, 3, size, size) uint8: the first views of all m images, then their second views, and so on.
        """
        views: list[list[Tensor]] = [[] for _ in range(1 if self.crops is None else len(self.crops))]
        for place in places:
            image = self._decode(place)
            for view, images in enumerate(views):
                images.append(self._crop(image, None if self.crops is None else int(self.crops[view, place])))
        stacked = [image for images in views for image in images]
        return torch.stack(stacked) if stacked else torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)

    def check_images(self) -> None:
        """Decode every image once, in threads. JPEG files are decoded at an eighth of their size, which is faster.

        Raises:
            UserError: If an image cannot be decoded.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            checked = pool.map(lambda place: self._decode(place, coarse=True).shape, range(len(self)))
            try:
                deque(checked, maxlen=0)
            except UserError as error:
                raise self.name_all_broken(error) from error
            finally:
                pool.shutdown(cancel_futures=True)  # after an error, this pool need not decode the rest

    def name_all_broken(self, error: UserError) -> UserError:
        """Extend an error about one broken file: say how many files of the split are broken, and name the first five.

        The error is returned as it is if only one file is broken, or if the split has more than `COUNTED` images, whose
        check would take too long.
        """
        if len(self) > COUNTED:
            return error
        paths = [os.fsdecode(bytes(path)) for path in self.paths]
        broken = [path for path, whole in zip(paths, check_intact(self.root, paths), strict=True) if not whole]
        if len(broken) < 2:
            return error
        return UserError(f"{error}\n{len(broken)} of the {len(paths)} images cannot be decoded: {name_first(broken)}")

    def _decode(self, place: int, *, coarse: bool = False) -> Tensor:
        try:
            return decode(self.get_path(place), coarse=coarse)
        except UserError as error:
            raise UserError(f"{error}: {self.advice}") from error

    def sha256(self) -> str:
        """Hash the paths, relative to the root, and the sizes of the files."""
        digest = hashlib.sha256()
        for place, path in enumerate(self.paths):
            digest.update(path + b"\0%d\n" % self.get_path(place).stat().st_size)
        return digest.hexdigest()

    def get_path(self, place: int) -> Path:
        """Return the path of the image at the position `place` of the split."""
        return self.root / os.fsdecode(bytes(self.paths[place]))

    def _crop(self, image: Tensor, seed: int | None) -> Tensor:
        from torchvision.transforms.v2 import functional  # imported here because the import takes a second

        size = [self.size, self.size]
        if seed is None:
            whole: Tensor = functional.resize(image, [self.resize], antialias=True)
            middle: Tensor = functional.center_crop(whole, size)
            return middle
        part: Tensor = functional.resized_crop(image, *draw_box(seed, *image.shape[-2:]), size, antialias=True)
        return vary_photograph(part, seed) if self.photographs else part


def encode_paths(paths: Iterable[str]) -> NDArray[np.bytes_]:
    """Pack paths into one array.

    Worker processes share the main process's memory until they write to it; they then copy the part that they change.
    If the paths were a list of strings, every worker would in time copy all of them, because Python writes a count of
    references into each string that it uses.
    """
    return np.array([os.fsencode(path) for path in paths], np.bytes_)


class _BatchDecoder(Dataset[Any]):
    """Decodes a whole batch in one process.

    It returns only the images, without their targets, because every tensor that another process sends keeps a file open
    while the tensor exists. It returns an error instead of raising it, because the main process would get a raised
    error only as the text of a traceback.
    """

    def __init__(self, files: ImageFiles) -> None:
        self.files = files

    def __getitem__(self, places: list[int]) -> Tensor | UserError:
        try:
            return self.files.decode_batch(places)
        except UserError as error:
            return UserError(str(error))


def _return_unchanged(images: Any) -> Any:
    return images
