"""The fixed images on which the information in the features of networks is measured."""

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.data.base.image_module import ImageDataModule
from kdlight.data.base.split_module import SplitName
from kdlight.errors import UserError
from kdlight.information.discretizer import Symbols

#: The fewest images from which a partial information decomposition (PID) can be estimated. To correct its bias, the PID
#: is also computed from halves and quarters of the images. A quarter of 8 images is two images. From one image alone,
#: every information would be 0.
FEWEST = 8
#: Batch size of the forward passes. It is fixed, because rounding errors depend on the batch size.
BATCH = 250


class Probe(NamedTuple):
    """The images of a measurement.

    Clusters of the features are fitted on some images, `fitted`. How often each cluster occurs with each label is then
    counted on other images, `counted`.

    Counting the images that clusters were fitted on would overestimate the information, and fitting on half of the
    measured split would leave only the other half to count. So clusters are fitted on images of the training split,
    which leaves every image of the validation split or the test set to be counted.
    """

    fitted: list[Batch]
    counted: list[Batch]

    @classmethod
    def take(
        cls,
        data: ImageDataModule,
        split: SplitName,
        samples: int | None,
        fit_samples: int,
        target: str | None = None,
    ) -> "Probe":
        """Choose fixed images of a data module that is set up.

        Args:
            data: The data module.
            split: The split to measure. If it is "train", clusters are fitted on some of its images, and others are
                counted.
            samples: How many images to count, at most; None: all.
            fit_samples: On how many training images to fit clusters, at most; if ``split`` is "train", at most half of
                the training images.
            target: A key of `Batch.targets`. These targets are used instead of the label; None: the label.

        Raises:
            UserError: If the data have no such target, or the split has fewer than `FEWEST` images to count.
        """
        of_train = len(data.get_split("train"))
        fits = min(fit_samples, of_train // 2 if split == "train" else of_train)
        fitted = _join(data.choose_probe_batches("train", fits))
        size = len(data.get_split(split)) - (fits if split == "train" else 0)
        if size < FEWEST:
            raise UserError(
                f"a PID needs at least {FEWEST} images, but the {split} split has {size} to count: hold out more "
                "with data.val_size, or switch the measurement off with trainer.callbacks: []"
            )
        count = size if samples is None else min(samples, size)
        if split == "train":
            # choose_probe_batches always takes the first images of one fixed order, so `both` contains `fitted`.
            both = _join(data.choose_probe_batches("train", fits + count))
            counted = _select(both, ~torch.isin(both.index, fitted.index))
        else:
            counted = _join(data.choose_probe_batches(split, count))
        return cls(*(_split_into_batches(_select_target(target, part)) for part in (fitted, counted)))

    @property
    def target(self) -> Symbols:
        """The classes of the counted images, (samples,)."""
        return torch.cat([batch.target for batch in self.counted]).numpy()

    @property
    def samples(self) -> int:
        """How many images are counted."""
        return sum(len(batch.target) for batch in self.counted)

    def sha256(self) -> str:
        """Return a hash that identifies the images."""
        digest = hashlib.sha256()
        for batch in (*self.fitted, *self.counted):
            digest.update(batch.images.numpy().tobytes())
        return digest.hexdigest()


def _select_target(target: str | None, batch: Batch) -> Batch:
    if target is None:
        return batch
    if target not in batch.targets:
        known = ", ".join(batch.targets) or "none"
        raise UserError(f"PIDMonitor: expected a name among the data's further targets ({known}), got {target!r}")
    return batch._replace(target=batch.targets[target])


def move_images(model: nn.Module, batch: Batch) -> Tensor:
    """Return a batch's images on the model's device and in its precision."""
    parameter = next(model.parameters())
    return batch.images.to(parameter.device, parameter.dtype)


def _join(batches: list[Batch]) -> Batch:
    """Concatenate batches into one."""
    names = batches[0].targets
    return Batch(
        torch.cat([batch.images for batch in batches]),
        torch.cat([batch.target for batch in batches]),
        torch.cat([batch.index for batch in batches]),
        {name: torch.cat([batch.targets[name] for batch in batches]) for name in names},
    )


def _select(batch: Batch, chosen: Tensor | slice) -> Batch:
    targets = {name: values[chosen] for name, values in batch.targets.items()}
    return Batch(batch.images[chosen], batch.target[chosen], batch.index[chosen], targets)


def _split_into_batches(batch: Batch) -> list[Batch]:
    """Split a batch into batches of at most `BATCH` images each."""
    return [_select(batch, slice(start, start + BATCH)) for start in range(0, len(batch.target), BATCH)]
