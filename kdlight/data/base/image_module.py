"""The base of all data modules for images, with loaders, views and normalisation."""

__all__ = ["ImageDataModule"]

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypedDict

import torch
from torch import Tensor

from kdlight.arguments import ArgumentRecord
from kdlight.data.base.batch import Batch
from kdlight.data.base.loader import (
    CPU,
    BatchLoader,
    TrainingLoader,
    make_evaluation_indices,
    make_evaluation_loader,
    make_training_loader,
)
from kdlight.data.base.samples import Samples, Split
from kdlight.data.base.split_module import SplitDataModule, SplitName
from kdlight.data.base.splits import SPLIT_SEED, draw_stratified_order
from kdlight.data.views.crops import normalize
from kdlight.data.views.epoch import EpochViews
from kdlight.data.views.view_kinds import PaddedCrops, ViewKind
from kdlight.errors import UserError
from kdlight.processes import read_run_seed
from kdlight.ranges import FiniteFloat, Fraction, NonNegativeInt, PositiveFloat, PositiveInt, RangeCheck, Seed
from kdlight.streams import Stream, make_generator


class ImageDataModuleArguments(TypedDict, total=False):
    """The arguments that data modules pass on to `ImageDataModule`, which explains them and has their defaults."""

    labels: bool
    train_per_class: PositiveInt | None
    label_noise: Fraction
    batch_size: PositiveInt
    eval_batch_size: PositiveInt
    seed: Seed | None


class ImageDataModule(ArgumentRecord, RangeCheck, SplitDataModule):
    """A data module that crops, flips and normalises whole batches of images, on the GPU if there is one.

    `ImageFilesDataModule` differs in the cropping: its workers crop each image when they decode the image.

    A validation split is held out of the training set, with the training set's class proportions. The test set is read
    for ``test`` and ``predict``, and once when a run begins, to check that it is complete. All random choices depend
    only on the seed, the epoch and the sample. Therefore a sample has the same view in an epoch whether or not the run
    was resumed, and whatever the number of processes.

    A subclass defines the class names, the image shape and the augmentation, and reads the training and the test set.

    Args:
        val_size: Number of images held out for validation; with 0, no best checkpoint can be selected.
        augment: Train on random crops, and on mirror images if mirroring does not change the class.
        mean: The mean of each channel, for pixels in [0, 1].
        std: The standard deviation of each channel, for pixels in [0, 1].
        labels: False for a transfer set, on which the student only imitates the teacher: training images get the target
            -1, and supervised terms of the loss leave them out.
        train_per_class: The number of images of each class to train on, among those not held out; None: all of them.
        label_noise: Fraction of the training labels that are replaced, each by another class. Which labels are
            replaced, and by which class, is drawn uniformly, and is the same in every run. Further targets, such as the
            coarse classes of CIFAR-100, do not change.
        batch_size: Images per training step and process.
        eval_batch_size: Largest number of images per validation, test or prediction step and process.
        seed: Seed of shuffling and augmentation; None: the run's seed (``seed_everything``), or 0 if it has none.

    Raises:
        UserError: If a number is out of range, there is label noise without labels, or mean or std do not fit the
            channels.
    """

    crop_padding: ClassVar[int]
    mirror: ClassVar[bool]

    def __init__(
        self,
        *,
        val_size: NonNegativeInt,
        augment: bool,
        mean: Sequence[FiniteFloat],
        std: Sequence[PositiveFloat],
        labels: bool = True,
        train_per_class: PositiveInt | None = None,
        label_noise: Fraction = 0.0,
        batch_size: PositiveInt = 64,
        eval_batch_size: PositiveInt = 256,
        seed: Seed | None = None,
    ) -> None:
        super().__init__(val_size, labels=labels, train_per_class=train_per_class, label_noise=label_noise)
        channels = self.image_shape[0]
        if len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise UserError(
                f"mean and std need {channels} numbers each, std above 0, but are {list(mean)} and {list(std)}"
            )
        self.augment, self.mean, self.std, self.seed = augment, tuple(mean), tuple(std), seed
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self._on_device: dict[tuple[str, torch.device], Split] = {}
        self._views: EpochViews | None = None

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """The channels, height and width of an image."""

    @property
    def view_kind(self) -> ViewKind:
        """The kind of random views (crops and mirror images) that `augment` makes."""
        return PaddedCrops(self.crop_padding, self.mirror)

    def choose_probe_batches(
        self, split: SplitName, count: int | None = None, *, seed: int = SPLIT_SEED
    ) -> list[Batch]:
        """Return `count` images of a split (None: all images) in batches on the CPU.

        The images are normalised and not augmented. They have the class proportions and the order of the split, and
        they are the same in every process and epoch. A batch's `index` gives the place of each image in the split.

        Raises:
            UserError: If the split has not been read, or `count` is below 1 or above the split's number of images.
        """
        samples = self.get_split(split)
        if count is not None and not 0 < count <= len(samples):
            raise UserError(
                f"expected a number of images from 1 to {len(samples)} (the size of the {split} split), got {count}"
            )
        chosen = draw_stratified_order(samples.target, make_generator(Stream.PROBE_IMAGES, seed))[:count].sort().values
        places = make_evaluation_indices(len(chosen), batch_size=self.eval_batch_size)
        return [self.normalize_batch(batch) for batch in samples.fetch_batches([chosen[place] for place in places])]

    def train_dataloader(self) -> TrainingLoader:
        """Return shuffled batches of the training split."""
        views, (count, strong) = self.views, self._get_wanted_views()
        return make_training_loader(
            self._place_split("train"),
            self.trainer,
            batch_size=self.batch_size,
            seed=views.seed,
            parameters=lambda epoch: views.get_choices(epoch, views=count, strong=strong, device=CPU),
        )

    def val_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Return batches of the validation split, or no loader if nothing is held out."""
        return self._make_evaluation_loader("val") if self.val_size > 0 else []

    def test_dataloader(self) -> BatchLoader:
        """Return batches of the test set."""
        return self._make_evaluation_loader("test")

    def predict_dataloader(self) -> BatchLoader:
        """Return batches of the test set."""
        return self.test_dataloader()

    def _make_evaluation_loader(self, name: SplitName) -> BatchLoader:
        return make_evaluation_loader(self._place_split(name), self.trainer, batch_size=self.eval_batch_size)

    def _place_split(self, name: SplitName) -> Split:
        """Return a split. If main memory holds it and the GPU has room for it, it is moved to the GPU."""
        samples = self.get_split(name)
        device = self.trainer.strategy.root_device if self.trainer is not None else CPU
        if device.type != "cuda" or not isinstance(samples, Samples):
            return samples
        if (name, device) not in self._on_device:
            placed = samples.move_if_it_fits(device, free=lambda gpu: torch.cuda.mem_get_info(gpu)[0])
            self._on_device[name, device] = placed
        return self._on_device[name, device]

    @property
    def views(self) -> EpochViews:
        """The random views (augmented versions) of the training images."""
        # The seed is read at every access, because a later run in this process may have another one.
        seed = self.seed if self.seed is not None else read_run_seed()
        if self._views is None:
            kind, fill = self.view_kind if self.augment else None, [255 * mean for mean in self.mean]
            self._views = EpochViews(kind, self.train_size, fill, seed)
        self._views.seed = seed
        return self._views

    def _get_wanted_views(self) -> tuple[int, bool]:
        """Return the number of views that the method needs, and whether the last one is strongly augmented."""
        method = self.trainer.lightning_module if self.trainer is not None else None
        return getattr(method, "views", 1), getattr(method, "strong_view", False)

    def on_after_batch_transfer(self, batch: object, dataloader_idx: int) -> object:
        """Normalise a batch on the device, after augmenting it if it is a training batch.

        If the method's class attribute ``views`` is above 1, the method gets this many independently augmented views of
        each sample. If the method's ``strong_view`` is true, the last view is strongly augmented
        (`kdlight.data.views.strong`).
        """
        if not isinstance(batch, Batch):  # Lightning also passes a model's example input to this hook
            return batch
        if self.trainer is not None and self.trainer.training:
            views, strong = self._get_wanted_views()
            batch = self.views.augment(batch, epoch=self.trainer.current_epoch, views=views, strong=strong)
        return self.normalize_batch(batch)

    def normalize_batch(self, batch: Batch) -> Batch:
        """Replace a batch's raw images by normalised ones."""
        assert batch.images.dtype == torch.uint8, "expected raw images, because images are normalised only once"
        return batch._replace(images=normalize(batch.images, self.mean, self.std))

    def load_views(
        self, indices: Iterable[Tensor], choices: Mapping[str, Tensor], *, views: int = 1, strong: bool = False
    ) -> Iterator[Batch]:
        """Fetch training samples, and augment and normalise them as in training, but on the CPU.

        Args:
            indices: For each batch, the places of its samples in the training split, (batch,).
            choices: The random choices that `EpochViews.draw` returned.
            views: The number of views; they are stacked along the batch, first view first.
            strong: Whether the last view is strongly augmented.

        Raises:
            UserError: If `choices` do not fit `views`, `strong`, the augmentation or the number of training images.
        """
        self.views.check_choices(choices, views=views, strong=strong)
        for batch in self.get_split("train").with_views(choices).fetch_batches(indices):
            yield self.normalize_batch(self.views.apply(batch, choices, views))

    def describe_transform(self, *, views: int = 1, strong: bool = False) -> dict[str, Any]:
        """Describe how images become a model's input, except for the random choices. All values fit into JSON."""
        return {
            "augment": self.view_kind.describe() if self.augment else False,
            "views": views,
            "strong": strong and self.augment,
            "image_shape": list(self.image_shape),
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def teardown(self, stage: str) -> None:
        """Stop replaying stored views (`EpochViews.replay`) after a fit, because the next fit may need other views."""
        if stage == "fit" and self._views is not None:
            self._views.forget_replay()

    def on_exception(self, exception: BaseException) -> None:
        """Stop replaying stored views after an error, as after a fit."""
        self.teardown("fit")
