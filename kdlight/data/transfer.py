"""The data module for distillation on one data set and evaluation on another; the two may have different classes."""

__all__ = ["TransferDataModule"]

from functools import cached_property
from typing import Any

from kdlight.data.base.image_module import ImageDataModule
from kdlight.data.base.samples import Split
from kdlight.data.views.view_kinds import ViewKind
from kdlight.errors import UserError


class TransferDataModule(ImageDataModule):
    """Trains on the images of one data set, without labels, and evaluates on another data set.

    The images to train on are called a transfer set (G. Hinton, O. Vinyals, J. Dean 2015,
    https://arxiv.org/abs/1503.02531, section 2). Images of both data sets are normalised with the mean and std of
    `evaluation`, because the teacher was trained on images normalised in this way.

    Args:
        train: The data set to train on. Its batch size and augmentation are used, its labels are not.
        evaluation: The data set from which the run takes its classes, validation split and test set.

    Raises:
        UserError: If the images of the two data sets differ in shape.
    """

    def __init__(self, train: ImageDataModule, evaluation: ImageDataModule) -> None:
        if train.image_shape != evaluation.image_shape:
            raise UserError(
                f"expected images of one shape, got {train.image_shape} to train on and {evaluation.image_shape} to "
                "evaluate on; set the image_size of an ImageFolderDataModule to have its images resized"
            )
        self.train, self.evaluation = train, evaluation
        super().__init__(
            val_size=evaluation.val_size,
            augment=train.augment,
            mean=evaluation.mean,
            std=evaluation.std,
            labels=False,
            batch_size=train.batch_size,
            eval_batch_size=evaluation.eval_batch_size,
            seed=train.seed,
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes of `evaluation`."""
        return self.evaluation.class_names

    @cached_property
    def num_classes(self) -> int:
        """The number of classes of `evaluation`."""
        return self.evaluation.num_classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The channels, height and width of an image."""
        return self.evaluation.image_shape

    @property
    def view_kind(self) -> ViewKind:
        """The kind of random views (crops and mirror images) of the images to train on."""
        return self.train.view_kind

    def describe_transform(self, *, views: int = 1, strong: bool = False) -> dict[str, Any]:
        """Return `train`'s description of its transform, but with the mean and std of `evaluation`."""
        identity = self.train.describe_transform(views=views, strong=strong)
        return {**identity, "mean": list(self.mean), "std": list(self.std)}

    def prepare_data(self) -> None:
        """Download each of the two data sets that is missing and whose `download` is true."""
        self.train.prepare_data()
        self.evaluation.prepare_data()

    def setup(self, stage: str) -> None:
        """Read the images that `stage` needs: the training images from `train`, all others from `evaluation`."""
        self.train.trainer = self.evaluation.trainer = self.trainer
        if stage == "fit" and "train" not in self._splits:
            self.train.setup("fit")
            self._splits["train"] = self.train.get_split("train").without_labels()
        if stage != "fit" or self.val_size > 0:
            self.evaluation.setup("validate" if stage == "fit" else stage)
        self._splits |= {
            name: self.evaluation.get_split(name) for name in ("val", "test") if name in self.evaluation._splits
        }

    def read_train(self) -> Split:
        """Read all training images of `train`."""
        return self.train.read_train()

    def read_test(self) -> Split:
        """Read the test set of `evaluation`."""
        return self.evaluation.read_test()
