"""The means of the loss's terms over an epoch."""

from typing import Any

import torch
from torch import Tensor

from kdlight.errors import UserError


class EpochMeans:
    """The means of named scalars over an epoch. Each step counts in proportion to its number of samples.

    The sums from which the means are computed stay on the device, so that no step has to wait until the device has
    computed them. Lightning's `self.log` is not used to compute the means, because a checkpoint that is written inside
    an epoch does not contain the values that `self.log` has collected.

    Attributes:
        samples: The number of samples in the epoch's steps so far.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Set all sums to 0, at the beginning of an epoch."""
        self.samples = 0
        self._names: tuple[str, ...] = ()
        self._sums: Tensor | None = None

    def add(self, values: dict[str, Tensor], *, samples: int) -> None:
        """Add the scalars of a step, multiplied by the step's number of samples.

        Raises:
            UserError: If the names differ from those of the epoch's first step.
        """
        names = self._names or tuple(values)
        if values.keys() != set(names):
            raise UserError(f"expected every step of this epoch to have the terms {names}, got {tuple(values)}")
        weighted = torch.stack([values[name] for name in names]).float() * samples
        self._sums = weighted if self._sums is None else self._sums.add_(weighted)
        self._names = names
        self.samples += samples

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint inside an epoch."""
        return {"samples": self.samples, "names": self._names, "sums": self._sums}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Continue with the sums of a checkpoint."""
        self.samples, self._names = state["samples"], tuple(state["names"])
        self._sums = None if state["sums"] is None else state["sums"].to(device)

    def compute(self) -> dict[str, Tensor]:
        """Return the means by name; before the first step there are none."""
        return {} if self._sums is None else dict(zip(self._names, (self._sums / self.samples).unbind(), strict=True))
