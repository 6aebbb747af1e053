"""Fixed images that go through the networks."""

import hashlib
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError
from kdlight.information.discretizer import Symbols

SplitName = Literal["train", "val", "test"]

#: Images that go through a network at a time, whatever the data's batch size: rounding depends on it.
BATCH = 250


class Probe(NamedTuple):
    """The images of a measurement.

    Clusters fitted on the samples that are then counted would inflate the information (by as much as their own bias),
    and fitting on one half of the samples would leave the other half to count. So they are fitted on images of the
    training split, and every image of the measured split is counted.
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
        """Fixed images of splits that the data have set up; at most as many as there are.

        Args:
            data: The data.
            split: Which is measured. Of the training split other images are counted than the clusters are fitted on.
            samples: How many of its images; None: all.
            fit_samples: How many training images the clusters are fitted on; at most half where the rest is counted.
            target: Name of a further target that takes the place of the label; None: the label.

        Raises:
            UserError: If the data have no such target.
        """
        of_train = len(data.split("train"))
        fits = min(fit_samples, of_train // 2 if split == "train" else of_train)
        fitted = _joined(data.probe_batches("train", fits))
        size = len(data.split(split)) - (fits if split == "train" else 0)
        count = size if samples is None else min(samples, size)
        if split == "train":
            # The first images of one order are fitted on, so what comes after them is counted.
            both = _joined(data.probe_batches("train", fits + count))
            counted = _chosen(both, ~torch.isin(both.index, fitted.index))
        else:
            counted = _joined(data.probe_batches(split, count))
        return cls(*(_batches(_about(target, part)) for part in (fitted, counted)))

    @property
    def target(self) -> Symbols:
        """The classes of the counted images, (samples,)."""
        return torch.cat([batch.target for batch in self.counted]).numpy()

    @property
    def samples(self) -> int:
        """How many images are counted."""
        return sum(len(batch.target) for batch in self.counted)

    def sha256(self) -> str:
        """Identity of the images."""
        digest = hashlib.sha256()
        for batch in (*self.fitted, *self.counted):
            digest.update(batch.images.numpy().tobytes())
        return digest.hexdigest()


def _about(target: str | None, batch: Batch) -> Batch:
    if target is None:
        return batch
    if target not in batch.targets:
        known = ", ".join(batch.targets) or "none"
        raise UserError(f"PIDMonitor: expected a further target of the data ({known}), got {target!r}")
    return batch._replace(target=batch.targets[target])


def images_for(model: nn.Module, batch: Batch) -> Tensor:
    """A probe's images where the model is, in its precision."""
    parameter = next(model.parameters())
    return batch.images.to(parameter.device, parameter.dtype)


def _joined(batches: list[Batch]) -> Batch:
    """One batch of all."""
    names = batches[0].targets
    return Batch(
        torch.cat([batch.images for batch in batches]),
        torch.cat([batch.target for batch in batches]),
        torch.cat([batch.index for batch in batches]),
        {name: torch.cat([batch.targets[name] for batch in batches]) for name in names},
    )


def _chosen(batch: Batch, chosen: Tensor | slice) -> Batch:
    targets = {name: values[chosen] for name, values in batch.targets.items()}
    return Batch(batch.images[chosen], batch.target[chosen], batch.index[chosen], targets)


def _batches(batch: Batch) -> list[Batch]:
    """Views of at most `BATCH` images each."""
    return [_chosen(batch, slice(start, start + BATCH)) for start in range(0, len(batch.target), BATCH)]
