"""Measure how long each part of a training step takes. The parts do not overlap; they add up to the whole step."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.profilers import Profiler

DATA, TEACHER, STUDENT, LOSS = "data", "teacher forward", "student forward", "loss"
BACKWARD, OPTIMIZER, OTHER = "backward", "optimizer", "logging, loop"
PARTS = (DATA, TEACHER, STUDENT, LOSS, BACKWARD, OPTIMIZER, OTHER)

# Lightning tells a profiler when each of Lightning's actions begins and ends. A key of this dict is the last word of an
# action's name (after the last dot), and its value is the part of a step to which the action's time is added. The time
# of an action that is missing here is added to `OTHER` if it is a callback's action, and otherwise to the part during
# which the action happens.
ACTIONS = {
    "train_dataloader_next": DATA,
    "batch_to_device": DATA,
    "training_step": LOSS,  # without the forward passes of both networks, which have parts of their own
    "backward": BACKWARD,
    "optimizer_step": OPTIMIZER,
    "optimizer_zero_grad": OPTIMIZER,
}


class PartTime(NamedTuple):
    """How many seconds a part of a step takes in wall time and in CPU time, on average over the timed steps."""

    wall: float
    cpu: float


Parts = dict[str, PartTime]


class PartsProfiler(Profiler):
    """A Lightning profiler that measures how long each part of a step takes.

    If one part runs inside another, the time counts only for the inner part.

    Args:
        device: The device; a GPU is synchronised at the beginning and end of every part.
        steps: Number of timed steps.
    """

    def __init__(self, device: torch.device, steps: int) -> None:
        super().__init__()
        self._device, self._steps = device, steps
        self._open: list[str] = [OTHER]
        self._sums = {part: [0.0, 0.0] for part in PARTS}
        self._last = (0.0, 0.0)
        self._counts = False
        self._watched: list[tuple[Any, str, Any]] = []

    def start(self, action_name: str) -> None:
        """Record the beginning of an action."""
        self._account()
        inherited = OTHER if action_name.startswith("[Callback]") else self._open[-1]
        self._open.append(ACTIONS.get(action_name.rpartition(".")[2], inherited))

    def stop(self, action_name: str) -> None:
        """Record the end of an action."""
        self._account()
        self._open.pop()

    def toggle(self) -> None:
        """Start counting, or stop counting."""
        self._account()
        self._last = self._read_clocks()
        self._counts = not self._counts

    def average_parts(self) -> Parts:
        """Return the mean time of each part of a step."""
        return {part: PartTime(wall / self._steps, cpu / self._steps) for part, (wall, cpu) in self._sums.items()}

    def watch(self, model: LightningModule) -> None:
        """Count the student's forward pass as `STUDENT`.

        The teacher's forward pass is counted as `TEACHER`, and so is reading the teacher's cache.
        """
        for owner, name, part in (
            (getattr(model, "student", None), "activations", STUDENT),
            (getattr(model, "teacher", None), "activations", TEACHER),
            (model, "teacher_activations", TEACHER),
        ):
            if hasattr(owner, name):
                self._watched.append((owner, name, vars(owner).get(name)))
                vars(owner)[name] = self._time(getattr(owner, name), part)

    def unwatch(self) -> None:
        """Undo `watch`."""
        for owner, name, before in self._watched:
            del vars(owner)[name]
            if before is not None:
                vars(owner)[name] = before
        self._watched.clear()

    def _time(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._account()
            self._open.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self._account()
                self._open.pop()

        return timed

    def _account(self) -> None:
        if self._counts:
            now = self._read_clocks()
            sums = self._sums[self._open[-1]]
            sums[0] += now[0] - self._last[0]
            sums[1] += now[1] - self._last[1]
            self._last = now

    def _read_clocks(self) -> tuple[float, float]:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter(), time.process_time()
