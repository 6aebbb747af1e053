"""Augmentation and normalisation of whole batches on the device."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from kdlight.arguments import Recorded
from kdlight.data.base.batch import Batch
from kdlight.data.base.loader import CPU
from kdlight.data.base.samples import Split
from kdlight.data.views.crops import normalize
from kdlight.data.views.epoch import EpochViews
from kdlight.data.views.kinds import PaddedCrops, Views, apply_views
from kdlight.errors import UserError
from kdlight.processes import run_seed
from kdlight.ranges import FiniteFloat, PositiveFloat, Ranged, Seed


class AugmentedDataModule(Recorded, Ranged, LightningDataModule):
    """Gives a method the views of each batch that it wants, drawn or replayed.

    Args:
        augment: whether training sees random views.
        mean: per channel, for pixels in [0, 1].
        std: per channel, for pixels in [0, 1].
        seed: of shuffling and augmentation; None for the run's (``seed_everything``), 0 where it has none.

    Raises:
        UserError: for a mean or std that does not fit the channels, or a negative seed.
    """

    crop_padding: ClassVar[int]
    mirror: ClassVar[bool]

    def __init__(
        self, *, augment: bool, mean: Sequence[FiniteFloat], std: Sequence[PositiveFloat], seed: Seed | None
    ) -> None:
        super().__init__()
        channels = self.image_shape[0]
        if len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise UserError(
                f"mean and std need {channels} numbers each, std above 0, but are {list(mean)} and {list(std)}"
            )
        self.augment, self.mean, self.std, self.seed = augment, tuple(mean), tuple(std), seed
        self._epoch_views: EpochViews | None = None

    @property
    @abstractmethod
    def train_split(self) -> Split:
        """The training split, raw images in order."""

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""

    @property
    def view_kind(self) -> Views:
        """The kind of random view that `augment` makes."""
        return PaddedCrops(self.crop_padding, self.mirror)

    def on_after_batch_transfer(self, batch: object, dataloader_idx: int) -> object:
        """Augments a training batch and normalises any, on the device.

        A method whose class attribute ``views`` is above 1 gets as many independently augmented views of a sample; one
        whose ``strong_view`` is true gets the last of them strengthened (`kdlight.data.views.strong`).
        """
        if not isinstance(batch, Batch):  # A model's example input passes through here, too.
            return batch
        if self.trainer is not None and self.trainer.training:
            views, strong = self._wanted()
            batch = self.augment_batch(batch, epoch=self.trainer.current_epoch, views=views, strong=strong)
        return self.normalize_batch(batch)

    def augment_batch(self, batch: Batch, *, epoch: int, views: int = 1, strong: bool = False) -> Batch:
        """Replaces a raw training batch's images by `views` augmented versions, first view first, the last strong."""
        device = batch.index.device
        choices = self._views.at(epoch, seed=self._seed, views=views, strong=strong, device=device)
        return self._viewed(batch, choices, views)

    def normalize_batch(self, batch: Batch) -> Batch:
        """Replaces a batch's raw images by normalised ones."""
        assert batch.images.dtype == torch.uint8, "images are normalised once"
        return batch._replace(images=normalize(batch.images, self.mean, self.std))

    def view_parameters(self, epoch: int, *, views: int = 1, strong: bool = False) -> dict[str, Tensor]:
        """Draws every random choice of an epoch's augmentation, for all training samples.

        Returns:
            Tensors (train_size, …) on the CPU by name: ``"0.shifts"`` for the first view's shifts, ``"strong.…"`` for
            the strong view; nothing without `augment`.
        """
        return self._views.draw(epoch, seed=self._seed, views=views, strong=strong)

    def replay(self, parameters: Sequence[Mapping[str, Tensor]]) -> None:
        """Gives epoch e the views ``parameters[e % len(parameters)]`` until a fit ends; the shuffle stays that of e.

        Args:
            parameters: of `view_parameters`, an epoch each.

        Raises:
            UserError: where there are none, or they are for other views or another number of samples.
        """
        self._views.replay(parameters)

    def teardown(self, stage: str) -> None:
        """Ends a replay, which is one fit's."""
        if stage == "fit" and self._epoch_views is not None:
            self._epoch_views.forget_replay()

    def on_exception(self, exception: BaseException) -> None:
        """Ends a replay."""
        self.teardown("fit")

    def transform_identity(self, *, views: int = 1, strong: bool = False) -> dict[str, Any]:
        """All that decides what a model sees of an image beside the parameters, for JSON."""
        return {
            "augment": self.view_kind.identity() if self.augment else False,
            "views": views,
            "strong": strong and self.augment,
            "image_shape": list(self.image_shape),
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def training_views(
        self, indices: Iterable[Tensor], parameters: Mapping[str, Tensor], *, views: int = 1, strong: bool = False
    ) -> Iterator[Batch]:
        """Fetches, augments and normalises training samples on the CPU, as training sees them.

        Args:
            indices: (batch,) places in the training split, of batch after batch.
            parameters: of `view_parameters`.
            views: how many, stacked along the batch, first view first.
            strong: whether the last one is strong.

        Raises:
            UserError: where `parameters` are for other views or another number of samples.
        """
        self._views.check(parameters, views=views, strong=strong)
        for batch in self.train_split.with_views(parameters).batches(indices):
            yield self.normalize_batch(self._viewed(batch, parameters, views))

    def _viewed(self, batch: Batch, parameters: Mapping[str, Tensor], views: int) -> Batch:
        if not parameters:
            return batch._replace(images=batch.images.repeat(views, 1, 1, 1)) if views > 1 else batch
        chosen = {name: choice[batch.index] for name, choice in parameters.items()}
        fill = [255 * mean for mean in self.mean]
        return batch._replace(images=apply_views(self.view_kind, batch.images, chosen, fill))

    @property
    def _views(self) -> EpochViews:
        if self._epoch_views is None:
            self._epoch_views = EpochViews(self.view_kind if self.augment else None, len(self.train_split))
        return self._epoch_views

    def _choices(self, epoch: int) -> Mapping[str, Tensor]:
        """The views of an epoch where images are decoded."""
        views, strong = self._wanted()
        return self._views.at(epoch, seed=self._seed, views=views, strong=strong, device=CPU)

    def _wanted(self) -> tuple[int, bool]:
        """How many views the method wants, and whether the last one is to be strong."""
        method = self.trainer.lightning_module if self.trainer is not None else None
        return getattr(method, "views", 1), getattr(method, "strong_view", False)

    @property
    def _seed(self) -> int:
        return self.seed if self.seed is not None else run_seed()
