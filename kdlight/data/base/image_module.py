"""What all data modules for images share: splits and loaders."""

__all__ = ["ImageDataModule"]

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch

from kdlight.data.base.augmented_module import AugmentedDataModule
from kdlight.data.base.batch import Batch
from kdlight.data.base.loader import CPU, BatchLoader, TrainingIndices, TrainingLoader, evaluation_indices
from kdlight.data.base.samples import Samples, Split
from kdlight.data.base.splits import SPLIT_SEED, add_label_noise, hold_out, stratified_order
from kdlight.errors import UserError
from kdlight.ranges import Fraction, NonNegativeInt, PositiveInt, Seed
from kdlight.streams import Stream, make_generator

SplitName = Literal["train", "val", "test"]


class ImageDataModule(AugmentedDataModule):
    """Crops, flips and normalises whole batches; small images lie in memory, on the GPU where they fit.

    A validation split is cut from the training set, with the class proportions of the whole. The test set is read for
    ``test`` and ``predict``, and by a run that begins, to see that it is whole. Everything random follows from the
    seed, the epoch and the sample: neither a resumed run nor another number of processes changes the view of a sample
    in a given epoch.

    A subclass names its classes, its image shape and its augmentation, and reads the two sets.

    Args:
        val_size: images held out for validation; 0 for none, and then there is nothing to select a model by.
        augment: random crops, and flips where a mirrored image is still of its class.
        mean: per channel, for pixels in [0, 1].
        std: per channel, for pixels in [0, 1].
        labels: false for a transfer set: training images come with target -1, which supervised terms leave out.
        train_per_class: trains on this many images of each class, of those left; None for all.
        label_noise: fraction of the training labels that are replaced by another class, drawn uniformly; the same in
            every run. Further targets keep what they say.
        batch_size: images per training step and process.
        eval_batch_size: at most so many images per validation, test or prediction step and process.
        seed: of shuffling and augmentation; None for the run's (``seed_everything``), 0 where it has none.

    Raises:
        UserError: for sizes below 1, label noise outside of [0, 1] or without labels, or a mean or std that does not
            fit the channels.
    """

    def __init__(
        self,
        *,
        val_size: NonNegativeInt,
        augment: bool,
        mean: Sequence[float],
        std: Sequence[float],
        labels: bool = True,
        train_per_class: PositiveInt | None = None,
        label_noise: Fraction = 0.0,
        batch_size: PositiveInt = 64,
        eval_batch_size: PositiveInt = 256,
        seed: Seed | None = None,
    ) -> None:
        super().__init__(augment=augment, mean=mean, std=std, seed=seed)
        if label_noise > 0 and not labels:
            raise UserError(f"label_noise: expected 0 where labels is false, got {label_noise}; leave one of them out")
        self.labels, self.label_noise = labels, label_noise
        self.val_size, self.train_per_class = val_size, train_per_class
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self._splits: dict[str, Split] = {}
        self._on_device: dict[tuple[str, torch.device], Split] = {}

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of `target`."""

    @property
    def num_classes(self) -> int:
        """How many classes `target` counts."""
        return len(self.class_names)

    @abstractmethod
    def read_train(self) -> Split:
        """Reads the whole training set."""

    @abstractmethod
    def read_test(self) -> Split:
        """Reads the test set."""

    @property
    def train_size(self) -> int:
        """How many images are trained on, all processes together; memories and caches have that many places."""
        return len(self.split("train"))

    def setup(self, stage: str) -> None:
        """Reads what `stage` (fit, validate, test or predict) needs and nothing else."""
        if stage == "validate" and self.val_size == 0:
            raise UserError("there is no validation split to validate on: set val_size above 0")
        if stage in ("fit", "validate") and "train" not in self._splits:
            self._hold_out(self.read_train())
        if stage in ("test", "predict") and "test" not in self._splits:
            self._splits["test"] = self.read_test()

    def _hold_out(self, samples: Split) -> None:
        kept, held_out = hold_out(samples.target, self.val_size, self.train_per_class, self.class_names)
        train = samples.subset(kept)
        if self.label_noise > 0:
            train = train.with_target(add_label_noise(train.target, self.label_noise, self.num_classes))
        self._splits["train"] = train if self.labels else train.unlabelled()
        if self.val_size > 0:
            self._splits["val"] = samples.subset(held_out)

    def split(self, name: SplitName) -> Split:
        """Returns a split that `setup` has read: raw images, in order.

        Raises:
            UserError: where there is none of that name.
        """
        if name not in self._splits:
            raise UserError(
                f"the {name} split is not there: run setup({'test' if name == 'test' else 'fit'!r}) first"
                + (", with val_size above 0" if name == "val" else "")
            )
        return self._splits[name]

    @property
    def train_split(self) -> Split:
        """The training split, raw images in order."""
        return self.split("train")

    def train_sha256(self) -> str:
        """Identity of the training images in their order: their bytes, or for image files their paths and sizes."""
        return self.split("train").sha256()

    def probe_batches(self, split: SplitName, count: int | None = None, *, seed: int = SPLIT_SEED) -> list[Batch]:
        """Returns `count` fixed images of a split (None: all), as batches on the CPU that a model can take.

        Not augmented, normalised, with the class proportions of the split, in its order; the same in every process and
        epoch. `index` is the place in the split.

        Raises:
            UserError: where the split is not there or has fewer images.
        """
        samples = self.split(split)
        if count is not None and not 0 < count <= len(samples):
            raise UserError(f"{count} probe images were asked for, but the {split} split has {len(samples)}")
        chosen = stratified_order(samples.target, make_generator(Stream.PROBE_IMAGES, seed))[:count].sort().values
        places = evaluation_indices(len(chosen), batch_size=self.eval_batch_size)
        return [self.normalize_batch(batch) for batch in samples.batches([chosen[place] for place in places])]

    def train_dataloader(self) -> TrainingLoader:
        """Shuffled batches of the training split."""
        samples = self._placed("train")
        processes, rank = self._share()
        indices = TrainingIndices(
            len(samples),
            batch_size=self.batch_size,
            seed=self._seed,
            shuffle=not getattr(self.trainer, "overfit_batches", 0),
            processes=processes,
            rank=rank,
            device=samples.device,
        )
        return TrainingLoader(samples, indices, parameters=self._choices, pin_memory=self._pins(samples))

    def val_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Batches of the validation split; no loader where nothing is held out."""
        return self._evaluation_loader("val") if self.val_size > 0 else []

    def test_dataloader(self) -> BatchLoader:
        """Batches of the test set."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> BatchLoader:
        """Batches of the test set."""
        return self.test_dataloader()

    def _share(self) -> tuple[int, int]:
        """How many processes share the data, and which this one is: Lightning knows how its strategy divides them."""
        share = self.trainer.distributed_sampler_kwargs if self.trainer is not None else None
        return (share["num_replicas"], share["rank"]) if share else (1, 0)

    def _evaluation_loader(self, name: SplitName) -> BatchLoader:
        samples = self._placed(name)
        processes, rank = self._share()
        indices = evaluation_indices(
            len(samples), batch_size=self.eval_batch_size, processes=processes, rank=rank, device=samples.device
        )
        return BatchLoader(samples, indices, pin_memory=self._pins(samples))

    def _placed(self, name: SplitName) -> Split:
        """A split where batches are fetched from: on the GPU, if it lies in memory and there is room."""
        samples, device = self.split(name), self._device
        if device.type != "cuda" or not isinstance(samples, Samples):
            return samples
        if (name, device) not in self._on_device:
            self._on_device[name, device] = samples.move_if_it_fits(
                device, free=lambda gpu: torch.cuda.mem_get_info(gpu)[0]
            )
        return self._on_device[name, device]

    def _pins(self, samples: Split) -> bool:
        return self._device.type == "cuda" and samples.device.type == "cpu"

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer is not None else CPU
