"""The base of data modules, which reads the training and the test images and holds out the validation split."""

from abc import abstractmethod
from functools import cached_property
from typing import Literal

from lightning.pytorch import LightningDataModule
from torch import Tensor

from kdlight.data.base.samples import Split
from kdlight.data.base.splits import add_label_noise, hold_out
from kdlight.errors import UserError

SplitName = Literal["train", "val", "test"]


class SplitDataModule(LightningDataModule):
    """A data module whose `setup` reads only the splits that a stage needs. `ImageDataModule` explains the arguments.

    Raises:
        UserError: If `label_noise` is above 0 although `labels` is false.
    """

    def __init__(self, val_size: int, *, labels: bool, train_per_class: int | None, label_noise: float) -> None:
        super().__init__()
        if label_noise > 0 and not labels:
            raise UserError(f"label_noise: expected 0 if labels is false, got {label_noise}; set one of the two")
        self.labels, self.label_noise = labels, label_noise
        self.val_size, self.train_per_class = val_size, train_per_class
        self._splits: dict[str, Split] = {}

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the class numbers in `Batch.target`."""

    @cached_property
    def num_classes(self) -> int:
        """The number of classes.

        Some subclasses take `num_classes` as an argument. When they read the images, they check that this number is
        the number of class names.
        """
        return len(self.class_names)

    @abstractmethod
    def read_train(self) -> Split:
        """Read the whole training set."""

    @abstractmethod
    def read_test(self) -> Split:
        """Read the test set."""

    @property
    def train_size(self) -> int:
        """The number of training images, before they are divided among the processes of a distributed run."""
        return len(self.get_split("train"))

    def setup(self, stage: str) -> None:
        """Read only the images that `stage` (fit, validate, test or predict) needs.

        Raises:
            UserError: If `stage` needs a validation split and there is none, or an image has none of the classes.
        """
        if stage == "validate" and self.val_size == 0:
            raise UserError("there is no validation split to validate on: set val_size above 0")
        if stage in ("fit", "validate") and "train" not in self._splits:
            samples = self.read_train()
            if self.labels:
                self._require_classes(samples.target, "training")
            self._hold_out(samples)
        if stage in ("test", "predict") and "test" not in self._splits:
            samples = self.read_test()
            self._require_classes(samples.target, "test")
            self._splits["test"] = samples

    def _require_classes(self, target: Tensor, name: str) -> None:
        wrong = target[(target < 0) | (target >= self.num_classes)]
        if len(wrong):
            raise UserError(
                f"{type(self).__name__}: expected the classes of the {name} images to be numbers from 0 to "
                f"{self.num_classes - 1}, got {int(wrong[0])}; correct the labels, or the number of classes"
            )

    def _hold_out(self, samples: Split) -> None:
        kept, held_out = hold_out(samples.target, self.val_size, self.train_per_class, self.class_names)
        train = samples.select(kept)
        if self.label_noise > 0:
            train = train.with_target(add_label_noise(train.target, self.label_noise, self.num_classes))
        self._splits["train"] = train if self.labels else train.without_labels()
        if self.val_size > 0:
            self._splits["val"] = samples.select(held_out)

    def get_split(self, name: SplitName) -> Split:
        """Return a split that `setup` has read, with raw images in a fixed order.

        Raises:
            UserError: If `setup` has not read the split, or there is no validation split.
        """
        if name not in self._splits:
            raise UserError(
                f"the {name} split is not there: run setup({'test' if name == 'test' else 'fit'!r}) first"
                + (", with val_size above 0" if name == "val" else "")
            )
        return self._splits[name]

    def hash_train_images(self) -> str:
        """Hash the bytes of the training images in their order; for image files, hash their paths and sizes."""
        return self.get_split("train").sha256()
