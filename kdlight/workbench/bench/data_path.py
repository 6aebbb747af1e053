"""Time the making of augmented batches: by kdlight from images in memory, and by torchvision from PIL images."""

from collections.abc import Callable
from operator import truediv
from statistics import median
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from kdlight.data.base.image_module import ImageDataModule
from kdlight.data.base.samples import Samples
from kdlight.workbench.bench.timed_fit import Times

CPU = torch.device("cpu")
PIL_IMAGES = 512  # the least number of PIL images per turn


class DataPath(NamedTuple):
    """How fast images are fetched, cropped, mirrored, normalised and batched.

    A rate is the number of images per CPU-second, on one thread.

    Attributes:
        kdlight: kdlight's rate, the median over the turns.
        torchvision: The rate of RandomCrop, RandomHorizontalFlip, ToTensor and Normalize in a DataLoader without
            workers, the median over the turns.
        ratio: kdlight's rate divided by torchvision's in the same turn, the median over the turns.
    """

    kdlight: float
    torchvision: float
    ratio: float


def time_data_path(data: ImageDataModule, *, turns: int = 9) -> DataPath:
    """Time how fast kdlight and torchvision make batches. They take turns, both in this thread.

    Args:
        data: A data module that has its images in memory and augments them.
        turns: The number of timed turns that each of the two gets.
    """
    data.setup("fit")
    samples = data.get_split("train")
    assert isinstance(samples, Samples), "expected a data module with its images in memory"
    loader = DataLoader(_Pictures(samples, data), batch_size=data.batch_size, shuffle=True)
    batches = data.train_dataloader()

    def ours(turn: int) -> int:
        batches.sampler.set_epoch(turn)
        return sum(len(data.normalize_batch(data.views.augment(batch, epoch=turn)).images) for batch in batches)

    def theirs(turn: int) -> int:
        images = 0
        for batch, _ in loader:
            images += len(batch)
            if images >= PIL_IMAGES:
                break
        return images

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pairs = [(_measure_rate(ours, turn), _measure_rate(theirs, turn)) for turn in range(turns + 1)][1:]
    finally:
        torch.set_num_threads(threads)
    our, their = zip(*pairs, strict=True)
    return DataPath(median(our), median(their), median(map(truediv, our, their)))


def _measure_rate(run: Callable[[int], int], turn: int) -> float:
    began = Times.read(CPU)
    images = run(turn)
    return images / Times.read(CPU).measure_since(began).cpu


class _Pictures(Dataset[tuple[Tensor, int]]):
    """The images as torchvision's data sets return them: made from PIL images by a chain of transforms."""

    def __init__(self, samples: Samples, data: ImageDataModule) -> None:
        self._images = samples.images.permute(0, 2, 3, 1).contiguous().numpy()
        self._target = samples.target.tolist()
        steps: list[Any] = [transforms.RandomCrop(data.image_shape[1:], data.crop_padding)]
        steps += [transforms.RandomHorizontalFlip()] if data.mirror else []
        self._transform = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(data.mean, data.std)])

    def __len__(self) -> int:
        return len(self._target)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[place])), self._target[place]
