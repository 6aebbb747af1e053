"""Time the training steps of a configuration and of other training loops, which take turns.

The trainer has the loggers and callbacks of an ordinary run, including the progress bar, which writes to /dev/null.
Only steps are timed: there is no validation and no checkpoint, and the callback `PIDMonitor` is left out. But if an
epoch ends inside a turn, what Lightning does at the epoch's end is timed, too.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import rich
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, RichProgressBar
from rich.console import Console

from kdlight.callbacks.pid_monitor import PIDMonitor
from kdlight.callbacks.run_progress import RunProgress
from kdlight.cli.build import build_experiment
from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError
from kdlight.internals import draw_progress_into
from kdlight.runs.experiment import Experiment
from kdlight.workbench.bench.parts import Parts, PartsProfiler

OUTSIDE_THE_STEPS = (Checkpoint, PIDMonitor)
FIT = "fit"

# A function that trains for a number of steps and returns the number of images that it used.
Loop = Callable[[int], int]


class Times(NamedTuple):
    """Seconds by two clocks: wall time, and the time that all threads of this process spent on a CPU."""

    wall: float
    cpu: float

    @classmethod
    def read(cls, device: torch.device) -> "Times":
        """Read both clocks, after synchronising with the device."""
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return cls(time.perf_counter(), time.process_time())

    def measure_since(self, earlier: "Times") -> "Times":
        """Return the seconds between two readings."""
        return Times(self.wall - earlier.wall, self.cpu - earlier.cpu)


class Turn(NamedTuple):
    """A number of consecutive steps that are timed together.

    Attributes:
        images: Number of images in these steps; several views of an image count once.
        times: Seconds by both clocks.
    """

    images: int
    times: Times


class Pace(NamedTuple):
    """How a fit is timed.

    Attributes:
        steps: Number of steps of a turn; a GPU is synchronised at the end of each turn.
        warmup: Number of steps before the first turn.
        turns: Number of turns of the fit and of each loop.
    """

    steps: int
    warmup: int
    turns: int


class Stopwatch(Callback):
    """Times a run in turns. After each turn of the run, every loop has one turn. After the last turns, the run stops.

    Attributes:
        turns: The turns of the fit and of each loop, by name, in the order in which they ran.
        start: Time from the construction of this object to the first step, including the building of a teacher cache.
        warmup: Time of the steps before the first turn, including compilation.
    """

    def __init__(
        self, pace: Pace, device: torch.device, loops: Mapping[str, Loop], profiler: PartsProfiler | None = None
    ) -> None:
        self.pace, self.profiler = pace, profiler
        self.turns: dict[str, list[Turn]] = {name: [] for name in (FIT, *loops)}
        self.start = self.warmup = Times(0.0, 0.0)
        self._device, self._loops = device, loops
        self._done = self._images = 0
        self._last = Times.read(device)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start timing; the networks are on their device now."""
        if self.profiler is not None:
            self.profiler.watch(pl_module)
        self.start = self._end_lap()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step. At the end of a turn, read the clocks and give each loop its turn."""
        self._done += 1
        self._images += len(batch.target)
        in_turn = self._done - self.pace.warmup
        if in_turn == 0:
            self.warmup = self._end_lap()
            for loop in self._loops.values():
                loop(self.pace.warmup)
        elif in_turn > 0 and in_turn % self.pace.steps == 0:
            self.turns[FIT].append(Turn(self._images, self._end_lap()))
            for name, loop in self._loops.items():
                images = loop(self.pace.steps)
                self.turns[name].append(Turn(images, self._end_lap()))
            trainer.should_stop = in_turn == self.pace.steps * self.pace.turns
        else:
            return
        self._images = 0
        if self.profiler is not None:
            self.profiler.toggle()
        self._last = Times.read(self._device)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Undo the profiler's changes to the networks, and check that all turns were timed.

        Raises:
            UserError: If the run ended before all turns were timed.
        """
        if self.profiler is not None:
            self.profiler.unwatch()
        if len(self.turns[FIT]) < self.pace.turns:
            needed = self.pace.warmup + self.pace.steps * self.pace.turns
            raise UserError(
                f"the run ended after {self._done} steps: expected {needed} (--warmup + --repeat x --steps); "
                "lower these options, or raise trainer.max_epochs"
            )

    def _end_lap(self) -> Times:
        now = Times.read(self._device)
        lap, self._last = now.measure_since(self._last), now
        return lap


class TimedFit:
    """A configuration that is built once and run several times. Each run goes on with the weights of the run before it.

    Args:
        experiment: The objects that were built from the configuration.

    Raises:
        UserError: If the data module is not kdlight's, or more than one process would train.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        trainer = experiment.make_trainer()
        if trainer.world_size > 1:
            raise UserError(
                f"kdlight bench: expected one process, got {trainer.world_size}; add --trainer.devices 1 (`kdlight "
                "fit` logs images_per_second for any number of processes)"
            )
        self.device = trainer.strategy.root_device
        self.precision = str(trainer.precision)
        self.model = experiment.method
        data = experiment.data
        if not isinstance(data, ImageDataModule):
            raise UserError(
                f"kdlight bench: expected a data module of kdlight, got {type(data).__name__}; subclass "
                "kdlight.data.ImageDataModule, or time a configuration with a data module of kdlight"
            )
        self.data = data

    @classmethod
    def build(cls, arguments: Sequence[str], folder: Path) -> "TimedFit":
        """Build the configuration that the options of `kdlight fit` describe.

        Args:
            arguments: The options.
            folder: The folder for the configuration's runs.
        """
        return cls(build_experiment("fit", [*arguments, f"--trainer.default_root_dir={folder}"]))

    @property
    def config(self) -> str:
        """The resolved configuration as YAML."""
        return self.experiment.config

    def run(self, pace: Pace, loops: Mapping[str, Loop]) -> Stopwatch:
        """Train the configuration, in turns with the loops.

        Raises:
            UserError: If the configuration's run ends before all turns are timed.
        """
        stopwatch = Stopwatch(pace, self.device, loops)
        self._run(stopwatch)
        return stopwatch

    def measure_parts(self, pace: Pace) -> tuple[Parts, int | None]:
        """Measure the time of each part of a step, and the peak memory on the GPU in bytes.

        A GPU is synchronised at every part's end, so the steps are slower than in a fit. On a CPU the memory is None,
        because it is not known how much of the process's memory the fit takes.
        """
        steps = pace.steps * pace.turns
        profiler = PartsProfiler(self.device, steps)
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        self._run(Stopwatch(pace._replace(steps=steps, turns=1), self.device, {}, profiler))
        return profiler.average_parts(), torch.cuda.max_memory_allocated(self.device) if on_gpu else None

    def _run(self, stopwatch: Stopwatch) -> None:
        # Trainers set these two options for the whole process: without a reset, the last run's values would stay.
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(False)
        self.model.train()  # a phase of the last run may have left parts of the model in eval mode
        trainer = self.experiment.make_trainer(
            profiler=stopwatch.profiler,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            min_epochs=None,
            min_steps=None,
            enable_model_summary=False,
        )
        every: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        every[:] = [*(callback for callback in every if not isinstance(callback, OUTSIDE_THE_STEPS)), stopwatch]
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            for callback in every:
                if isinstance(callback, RichProgressBar):
                    draw_progress_into(callback, nowhere)
                elif isinstance(callback, RunProgress):
                    callback.console = Console(file=nowhere, force_terminal=True)
            try:
                trainer.fit(self.model, datamodule=self.data)
            finally:
                # RichProgressBar has replaced rich's global console by its own, which writes to /dev/null.
                rich.reconfigure()
