"""The choices of an epoch's views, drawn or replayed from those that were kept; on the device while the epoch lasts."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kdlight.data.views.kinds import STRONG, Views, draw_views, view_count
from kdlight.errors import UserError


class EpochViews:
    """What an epoch's random views are made of, for all training samples.

    Args:
        kind: of the views; None where nothing is random.
        count: how many training samples there are.
    """

    def __init__(self, kind: Views | None, count: int) -> None:
        self.kind, self.count = kind, count
        self._replayed: Sequence[Mapping[str, Tensor]] | None = None
        self._current: dict[tuple[int, int, int, bool, torch.device], Mapping[str, Tensor]] = {}

    def draw(self, epoch: int, *, seed: int, views: int, strong: bool) -> dict[str, Tensor]:
        """Draws the choices of an epoch, on the CPU."""
        if self.kind is None:
            return {}
        return draw_views(self.kind, self.count, seed=seed, epoch=epoch, views=views, strong=strong)

    def at(self, epoch: int, *, seed: int, views: int, strong: bool, device: torch.device) -> Mapping[str, Tensor]:
        """The choices of an epoch on a device, drawn or replayed, and moved there once."""
        key = (epoch, seed, views, strong, device)
        if key not in self._current:
            self._current = {drawn: kept for drawn, kept in self._current.items() if drawn[0] == epoch}
            if self._replayed is None:
                choices: Mapping[str, Tensor] = self.draw(epoch, seed=seed, views=views, strong=strong)
            else:
                choices = self._replayed[epoch % len(self._replayed)]
                self.check(choices, views=views, strong=strong)
            self._current[key] = {name: choice.to(device) for name, choice in choices.items()}
        return self._current[key]

    def replay(self, parameters: Sequence[Mapping[str, Tensor]]) -> None:
        """From now on gives epoch e the choices ``parameters[e % len(parameters)]``.

        Raises:
            UserError: where there are none, or they are for other views or another number of samples.
        """
        if not parameters:
            raise UserError("replay needs the views of at least one epoch, but was given none")
        for kept in parameters:
            strong = any(name.partition(".")[0] == STRONG for name in kept)
            self.check(kept, views=max(1, view_count(kept)), strong=strong)
        self._replayed = parameters
        self._current = {}

    def forget_replay(self) -> None:
        """Draws anew from now on."""
        self._replayed = None
        self._current = {}

    def check(self, choices: Mapping[str, Tensor], *, views: int, strong: bool) -> None:
        """Compares choices that came from elsewhere with what would be drawn.

        Raises:
            UserError: where names, numbers of samples or shapes differ.
        """
        expected = draw_views(self.kind, 0, seed=0, epoch=0, views=views, strong=strong) if self.kind else {}
        if choices.keys() != expected.keys():
            raise UserError(
                f"these views need {', '.join(expected) or 'no choices'}, but were given "
                f"{', '.join(choices) or 'none'}: make them with this data module for views={views}, strong={strong}"
            )
        for name, choice in choices.items():
            shape = (self.count, *expected[name].shape[1:])
            if choice.shape != shape:
                raise UserError(
                    f"these views need {name} of the shape {shape}, but were given {tuple(choice.shape)}: make them "
                    "for this training split"
                )
