"""What all data modules for small images share: splits, loaders, augmentation on the device."""

import os
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from lightning.pytorch import LightningDataModule

from kdlight.data.augmentation import Draws, crop, draw, flip, normalize
from kdlight.data.batch import Batch
from kdlight.data.loader import BatchLoader, TrainingIndices, TrainingLoader, evaluation_indices
from kdlight.data.samples import Samples
from kdlight.data.seeding import seeded_generator
from kdlight.data.splits import first_per_class, stratified_order
from kdlight.data.strong_view import StrongDraws, draw_strong, strengthen

SPLIT_SEED = 0  # Splits are the same in every run: runs with other seeds must stay comparable.


class ImageDataModule(LightningDataModule):
    """Keeps the images of a split in memory as one uint8 tensor; crops, flips and normalises whole batches.

    A validation split is cut from the training set, with the class proportions of the whole. The test set is read for
    ``test`` and ``predict`` alone. Everything random follows from the seed, the epoch and the sample: neither a
    resumed run nor another number of processes changes the view of a sample in a given epoch.

    A subclass names its classes, its image shape and its augmentation, and reads the two sets.

    Args:
        val_size: images held out for validation; 0 for none, and then there is nothing to select a model by.
        augment: random crops, and flips where a mirrored image is still of its class.
        mean: per channel, for pixels in [0, 1].
        std: per channel, for pixels in [0, 1].
        labels: false for a transfer set: training images come with target -1, which supervised terms leave out.
        train_per_class: trains on this many images of each class, of those left; None for all.
        batch_size: images per training step and process.
        eval_batch_size: at most so many images per validation, test or prediction step and process.
        seed: of shuffling and augmentation; None for the run's (``seed_everything``), 0 where it has none.

    Raises:
        ValueError: for sizes below 1, or a mean or std that does not fit the channels.
    """

    class_names: ClassVar[tuple[str, ...]]
    image_shape: ClassVar[tuple[int, int, int]]  # channels, height, width
    crop_padding: ClassVar[int]
    mirror: ClassVar[bool]

    def __init__(
        self,
        *,
        val_size: int,
        augment: bool,
        mean: Sequence[float],
        std: Sequence[float],
        labels: bool = True,
        train_per_class: int | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 256,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("val_size", val_size, 0),
            ("train_per_class", train_per_class, 1),
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("seed", seed, 0),
        ):
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, but is {value}")
        channels = self.image_shape[0]
        if len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise ValueError(
                f"mean and std need {channels} numbers each, std above 0, but are {list(mean)} and {list(std)}"
            )
        self.labels = labels
        self.val_size, self.train_per_class = val_size, train_per_class
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.augment, self.mean, self.std, self.seed = augment, tuple(mean), tuple(std), seed
        self._splits: dict[str, Samples] = {}
        self._draws: dict[tuple[int, int, torch.device], Draws] = {}
        self._strong_draws: tuple[int, StrongDraws] | None = None

    @abstractmethod
    def read_train(self) -> Samples:
        """Reads the whole training set."""

    @abstractmethod
    def read_test(self) -> Samples:
        """Reads the test set."""

    @property
    def num_classes(self) -> int:
        """How many classes `target` counts."""
        return len(self.class_names)

    @property
    def train_size(self) -> int:
        """How many images are trained on, all processes together; memories and caches have that many places."""
        return len(self.split("train"))

    def setup(self, stage: str) -> None:
        """Reads what `stage` (fit, validate, test or predict) needs and nothing else."""
        if stage == "validate" and self.val_size == 0:
            raise ValueError("there is no validation split to validate on: set val_size above 0")
        if stage in ("fit", "validate") and "train" not in self._splits:
            self._cut(self.read_train())
        if stage in ("test", "predict") and "test" not in self._splits:
            self._splits["test"] = self.read_test()

    def _cut(self, samples: Samples) -> None:
        if self.val_size >= len(samples):
            raise ValueError(
                f"val_size={self.val_size} leaves nothing to train on: the training set has {len(samples)} images"
            )
        order = stratified_order(samples.target, seeded_generator(SPLIT_SEED))
        held_out, kept = order[: self.val_size].sort().values, order[self.val_size :].sort().values
        if self.train_per_class is not None:
            counts = torch.bincount(samples.target[kept], minlength=self.num_classes)
            if self.train_per_class > counts.min():
                raise ValueError(
                    f"train_per_class={self.train_per_class} is more than the {counts.min()} images that are left of "
                    f"class {self.class_names[int(counts.argmin())]!r} with val_size={self.val_size}: lower either"
                )
            generator = seeded_generator(SPLIT_SEED, 1)
            kept = kept[first_per_class(samples.target[kept], self.train_per_class, generator)]
        train = samples.subset(kept)
        self._splits["train"] = train if self.labels else train.unlabelled()
        if self.val_size > 0:
            self._splits["val"] = samples.subset(held_out)

    def split(self, name: Literal["train", "val", "test"]) -> Samples:
        """Returns a split that `setup` has read: raw images, in order.

        Raises:
            ValueError: where there is none of that name.
        """
        if name not in self._splits:
            raise ValueError(
                f"the {name} split is not there: run setup({'test' if name == 'test' else 'fit'!r}) first"
                + (", with val_size above 0" if name == "val" else "")
            )
        return self._splits[name]

    def probe_batches(
        self, split: Literal["train", "val", "test"], count: int | None = None, *, seed: int = SPLIT_SEED
    ) -> list[Batch]:
        """Returns `count` fixed images of a split (None: all), as batches on the CPU that a model can take.

        Not augmented, normalised, with the class proportions of the split, in its order; the same in every process and
        epoch. `index` is the place in the split.

        Raises:
            ValueError: where the split is not there or has fewer images.
        """
        samples = self.split(split)
        if count is not None and not 0 < count <= len(samples):
            raise ValueError(f"{count} probe images were asked for, but the {split} split has {len(samples)}")
        chosen = stratified_order(samples.target, seeded_generator(seed, 2))[:count].sort().values
        places = evaluation_indices(len(chosen), batch_size=self.eval_batch_size)
        return [self.normalized(samples.batch(chosen[place])) for place in places]

    def train_dataloader(self) -> TrainingLoader:
        """Shuffled batches of the training split."""
        samples = self.split("train")
        shuffle = not getattr(self.trainer, "overfit_batches", 0)
        indices = TrainingIndices(
            len(samples), batch_size=self.batch_size, seed=self._seed, shuffle=shuffle, **self._share()
        )
        return TrainingLoader(samples, indices, pin_memory=self._on_cuda)

    def val_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Batches of the validation split; no loader where nothing is held out."""
        return self._evaluation_loader(self.split("val")) if self.val_size > 0 else []

    def test_dataloader(self) -> BatchLoader:
        """Batches of the test set."""
        return self._evaluation_loader(self.split("test"))

    def predict_dataloader(self) -> BatchLoader:
        """Batches of the test set."""
        return self.test_dataloader()

    def on_after_batch_transfer(self, batch: object, dataloader_idx: int) -> object:
        """Augments a training batch and normalises any, on the device.

        A method whose class attribute ``views`` is above 1 gets as many independently augmented views of a sample; one
        whose ``strong_view`` is true gets the last of them strengthened (`kdlight.data.strong_view`).
        """
        if not isinstance(batch, Batch):  # A model's example input passes through here, too.
            return batch
        trainer = self.trainer
        if trainer is not None and trainer.training:
            method = trainer.lightning_module
            views, strong = getattr(method, "views", 1), getattr(method, "strong_view", False)
            batch = self.augmented(batch, epoch=trainer.current_epoch, views=views, strong=strong)
        return self.normalized(batch)

    def augmented(self, batch: Batch, *, epoch: int, views: int = 1, strong: bool = False) -> Batch:
        """Replaces a raw training batch's images by `views` augmented versions, first view first, the last strong."""
        if not self.augment:
            return batch._replace(images=batch.images.repeat(views, 1, 1, 1)) if views > 1 else batch
        results = []
        for view in range(views):
            draws = self._epoch_draws(epoch, view, batch.images.device)
            cropped = crop(batch.images, draws.shifts[batch.index], padding=self.crop_padding)
            results.append(flip(cropped, draws.flipped[batch.index]) if self.mirror else cropped)
        if strong:
            choices = self._epoch_strong_draws(epoch, batch.images.device)
            chosen = StrongDraws(*(choice[batch.index] for choice in choices))
            results[-1] = strengthen(results[-1], chosen, fill=[255 * mean for mean in self.mean])
        return batch._replace(images=torch.cat(results))

    def normalized(self, batch: Batch) -> Batch:
        """Replaces a batch's raw images by normalised ones."""
        assert batch.images.dtype == torch.uint8, "images are normalised once"
        return batch._replace(images=normalize(batch.images, self.mean, self.std))

    def _epoch_draws(self, epoch: int, view: int, device: torch.device) -> Draws:
        """Draws for all images of an epoch at once, so that the batches they come in make no difference."""
        key = (epoch, view, device)
        if key not in self._draws:
            self._draws = {drawn: draws for drawn, draws in self._draws.items() if drawn[0] == epoch}
            generator = seeded_generator(self._seed, epoch, view + 1)
            draws = draw(self.train_size, padding=self.crop_padding, flip=self.mirror, generator=generator)
            self._draws[key] = Draws(*(choice.to(device) for choice in draws))
        return self._draws[key]

    def _epoch_strong_draws(self, epoch: int, device: torch.device) -> StrongDraws:
        if self._strong_draws is None or self._strong_draws[0] != epoch:
            draws = draw_strong(self.train_size, generator=seeded_generator(self._seed, epoch, 0, 1))
            self._strong_draws = epoch, StrongDraws(*(choice.to(device) for choice in draws))
        return self._strong_draws[1]

    @property
    def _seed(self) -> int:
        return self.seed if self.seed is not None else int(os.environ.get("PL_GLOBAL_SEED", 0))

    def _share(self) -> dict[str, int]:
        """This process's share of the data: Lightning knows how its strategy divides it."""
        share = self.trainer.distributed_sampler_kwargs if self.trainer is not None else None
        return {"processes": share["num_replicas"], "rank": share["rank"]} if share else {}

    def _evaluation_loader(self, samples: Samples) -> BatchLoader:
        indices = evaluation_indices(len(samples), batch_size=self.eval_batch_size, **self._share())
        return BatchLoader(samples, indices, pin_memory=self._on_cuda)

    @property
    def _on_cuda(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
