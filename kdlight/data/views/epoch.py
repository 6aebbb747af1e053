"""The random views (augmented versions) of the training images in each epoch.

The random choices that determine a view are either drawn or replayed. A teacher cache, which stores the teacher's
outputs for certain views, also stores the choices for these views, so that the student can be shown the same views.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.data.views.view_kinds import STRONG, ViewKind, apply_views, count_views, draw_views
from kdlight.errors import UserError


class EpochViews:
    """Draws or replays the random choices for the views of all training images, and applies them to batches.

    Args:
        kind: The kind of view; None if nothing is random.
        count: Number of training images.
        fill: Value of each channel, in [0, 255]. A strong view (`kdlight.data.views.strong`) sets a random square of
            the image to these values.
        seed: The seed of the choices.
    """

    def __init__(self, kind: ViewKind | None, count: int, fill: Sequence[float], seed: int) -> None:
        self.kind, self.count, self.fill, self.seed = kind, count, fill, seed
        self._replayed: Sequence[Mapping[str, Tensor]] | None = None
        self._current: dict[tuple[int, int, int, bool, torch.device], Mapping[str, Tensor]] = {}

    def draw(self, epoch: int, *, views: int = 1, strong: bool = False) -> dict[str, Tensor]:
        """Draw every random choice of an epoch, for all training images.

        Args:
            epoch: The epoch, counted from 0.
            views: Number of views of an image in one step.
            strong: Whether the last view is strong (`kdlight.data.views.strong`).

        Returns:
            The choices by name: tensors (count, …) on the CPU. For example, ``"0.shifts"`` holds the places of the
            first view's crops, and ``"strong.operations"`` the operations of the strong view. {} if nothing is random.
        """
        if self.kind is None:
            return {}
        return draw_views(self.kind, self.count, seed=self.seed, epoch=epoch, views=views, strong=strong)

    def get_choices(self, epoch: int, *, views: int, strong: bool, device: torch.device) -> Mapping[str, Tensor]:
        """Return the choices of an epoch, drawn or replayed. They are moved to the device once per epoch."""
        key = (epoch, self.seed, views, strong, device)
        if key not in self._current:
            self._current = {drawn: kept for drawn, kept in self._current.items() if drawn[0] == epoch}
            if self._replayed is None:
                choices: Mapping[str, Tensor] = self.draw(epoch, views=views, strong=strong)
            else:
                choices = self._replayed[epoch % len(self._replayed)]
                self.check_choices(choices, views=views, strong=strong)
            self._current[key] = {name: choice.to(device) for name, choice in choices.items()}
        return self._current[key]

    def augment(self, batch: Batch, *, epoch: int, views: int = 1, strong: bool = False) -> Batch:
        """Replace the images of a training batch by their views in an epoch.

        The images are uint8, as they were loaded. The views are stacked along the batch: all first views, then all
        second views, and so on.
        """
        return self.apply(batch, self.get_choices(epoch, views=views, strong=strong, device=batch.index.device), views)

    def apply(self, batch: Batch, choices: Mapping[str, Tensor], views: int) -> Batch:
        """Replace the images of a training batch by the views that `choices` determine.

        The images are uint8, as they were loaded. The views are stacked along the batch: all first views, then all
        second views, and so on.
        """
        if not choices:
            return batch._replace(images=batch.images.repeat(views, 1, 1, 1)) if views > 1 else batch
        assert self.kind is not None
        chosen = {name: choice[batch.index] for name, choice in choices.items()}
        return batch._replace(images=apply_views(self.kind, batch.images, chosen, self.fill))

    def replay(self, kept: Sequence[Mapping[str, Tensor]]) -> None:
        """From now on, use the choices ``kept[e % len(kept)]`` in epoch e.

        Only the views are replayed, not the order in which the images are drawn.

        Args:
            kept: What `draw` returned for each of the stored epochs.

        Raises:
            UserError: If there are no choices, or they are for other views or another number of images.
        """
        if not kept:
            raise UserError("replay needs the choices of at least one epoch, but was given none")
        for choices in kept:
            strong = any(name.partition(".")[0] == STRONG for name in choices)
            self.check_choices(choices, views=max(1, count_views(choices)), strong=strong)
        self._replayed = kept
        self._current = {}

    def forget_replay(self) -> None:
        """From now on, draw the choices of every epoch instead of replaying stored ones."""
        self._replayed = None
        self._current = {}

    def check_choices(self, choices: Mapping[str, Tensor], *, views: int, strong: bool) -> None:
        """Check that `choices` have the names and shapes that `draw` would give them.

        Raises:
            UserError: If names, numbers of images or shapes differ.
        """
        expected = draw_views(self.kind, 0, seed=0, epoch=0, views=views, strong=strong) if self.kind else {}
        if choices.keys() != expected.keys():
            raise UserError(
                f"choices for views: expected {', '.join(expected) or 'no choices'}, "
                f"got {', '.join(choices) or 'none'}; draw them with this data module for views={views}, "
                f"strong={strong}"
            )
        for name, choice in choices.items():
            shape = (self.count, *expected[name].shape[1:])
            if choice.shape != shape:
                raise UserError(
                    f"choices for views: expected {name} of the shape {shape}, got {tuple(choice.shape)}; draw them "
                    "for this training split"
                )
