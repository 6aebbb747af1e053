"""Fixed images that go through the networks."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError
from kdlight.information.discretizer import Symbols


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
        split: Literal["val", "test"],
        samples: int | None,
        fit_samples: int,
        target: str | None = None,
    ) -> "Probe":
        """Fixed images of splits that the data have set up; at most as many as there are.

        Args:
            data: The data.
            split: Which is measured.
            samples: How many of its images; None: all.
            fit_samples: How many training images the clusters are fitted on.
            target: Name of a further target that takes the place of the label; None: the label.

        Raises:
            UserError: If the data have no such target.
        """
        count = None if samples is None else min(samples, len(data.split(split)))
        fitted = data.probe_batches("train", min(fit_samples, len(data.split("train"))))
        return cls(*([_about(target, batch) for batch in part] for part in (fitted, data.probe_batches(split, count))))

    @property
    def target(self) -> Symbols:
        """The classes of the counted images, (samples,)."""
        return torch.cat([batch.target for batch in self.counted]).numpy()

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


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without a graph; afterwards every submodule is in the mode it was in."""
    modes = {inner: inner.training for inner in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for inner, training in modes.items():
            inner.training = training


def images_for(model: nn.Module, batch: Batch) -> Tensor:
    """A probe's images where the model is, in its precision."""
    parameter = next(model.parameters())
    return batch.images.to(parameter.device, parameter.dtype)
