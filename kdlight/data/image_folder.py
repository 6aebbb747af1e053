"""Any images in class folders."""

__all__ = ["ImageFolderDataModule"]

from functools import cached_property
from typing import Any

from kdlight.data.base.files_module import ImageFilesDataModule
from kdlight.data.sources.image_files import ImageFiles
from kdlight.data.sources.listing import check_classes, list_classes, list_images
from kdlight.ranges import NonNegativeInt, PositiveInt


class ImageFolderDataModule(ImageFilesDataModule):
    """Images in torchvision's layout: ``train/<class>/…`` and ``test/<class>/…`` (or ``val/``) below one folder.

    Classes count in the order of their names. With `labels` false the training images are a transfer set.

    Args:
        data_dir: the folder that holds ``train/``.
        num_classes: of the networks; None for as many as ``train/`` has folders.
        test_folder: the folder of the test set; None for ``test`` where there is one, else ``val``.
        val_size: training images held out for validation; 0 for none, and then there is nothing to select a model by.
        options: `ImageFilesDataModule`'s.
    """

    def __init__(
        self,
        data_dir: str,
        *,
        num_classes: PositiveInt | None = None,
        test_folder: str | None = None,
        val_size: NonNegativeInt = 0,
        **options: Any,
    ) -> None:
        super().__init__(data_dir, val_size=val_size, **options)
        self._num_classes = num_classes
        self.test_folder = test_folder

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The names of the class folders."""
        return list_classes(self.data_dir / "train")

    @property
    def num_classes(self) -> int:
        """How many classes `target` counts."""
        return len(self.class_names) if self._num_classes is None else self._num_classes

    def read_train(self) -> ImageFiles:
        """Lists the training images."""
        check_classes(self.data_dir / "train", self.class_names, self.num_classes)
        return self.files(self.data_dir, list_images(self.data_dir, "train", self.class_names))

    def read_test(self) -> ImageFiles:
        """Lists the test images."""
        folder = self.test_folder or ("test" if (self.data_dir / "test").is_dir() else "val")
        return self.files(self.data_dir, list_images(self.data_dir, folder, self.class_names))
