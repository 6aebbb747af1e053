"""Data modules; each name is imported from its file when it is first asked for, because Lightning takes seconds."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdlight.data.base.batch import Batch as Batch
    from kdlight.data.base.image_module import ImageDataModule as ImageDataModule
    from kdlight.data.cifar import CIFAR10DataModule as CIFAR10DataModule
    from kdlight.data.cifar import CIFAR100DataModule as CIFAR100DataModule
    from kdlight.data.cub import CUBDataModule as CUBDataModule
    from kdlight.data.digits import DigitsDataModule as DigitsDataModule
    from kdlight.data.image_folder import ImageFolderDataModule as ImageFolderDataModule
    from kdlight.data.imagenet import ImageNetDataModule as ImageNetDataModule
    from kdlight.data.tiny_imagenet import TinyImageNetDataModule as TinyImageNetDataModule
    from kdlight.data.transfer import TransferDataModule as TransferDataModule

_DEFINED_IN = {
    "Batch": "base.batch",
    "CIFAR100DataModule": "cifar",
    "CIFAR10DataModule": "cifar",
    "CUBDataModule": "cub",
    "DigitsDataModule": "digits",
    "ImageDataModule": "base.image_module",
    "ImageFolderDataModule": "image_folder",
    "ImageNetDataModule": "imagenet",
    "TinyImageNetDataModule": "tiny_imagenet",
    "TransferDataModule": "transfer",
}

__all__ = [
    "Batch",
    "CIFAR10DataModule",
    "CIFAR100DataModule",
    "CUBDataModule",
    "DigitsDataModule",
    "ImageDataModule",
    "ImageFolderDataModule",
    "ImageNetDataModule",
    "TinyImageNetDataModule",
    "TransferDataModule",
]


def __getattr__(name: str) -> object:
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_DEFINED_IN[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
