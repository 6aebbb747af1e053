"""An experiment: a method, data, the trainer's options and a folder. It trains, validates and tests the method."""

import signal
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, Trainer

from kdlight.caching.teacher_cache import TeacherCache
from kdlight.errors import UserError
from kdlight.methods.base.distiller import Distiller
from kdlight.methods.base.learner import Learner
from kdlight.runs.checkpoints import report_misfit
from kdlight.runs.claim import Claim
from kdlight.runs.fit import add_run_options, fit_and_test
from kdlight.runs.folder import RunFolder
from kdlight.runs.result import write_test
from kdlight.runs.signals import SignalHandler
from kdlight.runs.trainer import make_trainer

TERMINATED = 128 + signal.SIGTERM
BARE = {  # the trainer's options for a fit without steps
    **dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False),
    "callbacks": [],
    "limit_train_batches": 0,
    "overfit_batches": 0,
    "fast_dev_run": False,
}


@dataclass
class Experiment:
    """The objects that a configuration describes; nothing has run yet.

    Args:
        method: The method with its networks.
        data: The data module.
        folder: The run's folder.
        options: The arguments of Lightning's `Trainer`, with callbacks and loggers as objects.
        config: The resolved configuration as YAML, which is saved as ``config.yaml``.
        checkpoint: Path of the checkpoint to continue from or to measure; None: start with new weights.
        command: The command that the user called, which is saved in ``result.json``.
        claim: The right to write into the folder. A fit releases this right when the fit ends.
        resume: How the user can continue the run, for the message that is printed when the run is stopped.
    """

    method: Learner
    data: LightningDataModule
    folder: RunFolder
    options: dict[str, Any] = field(default_factory=dict)
    config: str = ""
    checkpoint: str | None = None
    command: str = ""
    claim: Claim | None = None
    resume: str = "the same command and --ckpt_path last"

    def make_trainer(self, **changed: Any) -> Trainer:
        """Create the trainer for a fit. It has `options`, and the loggers and callbacks that every run has.

        Args:
            changed: Arguments of the trainer, which replace those with the same names.
        """
        return self._build_trainer(self.config, changed)

    def _build_trainer(self, config: str | None, changed: dict[str, Any]) -> Trainer:
        options = {**self.options, "default_root_dir": str(self.folder.path)}
        return make_trainer({**options, **add_run_options(options, self.folder, self.data, config=config), **changed})

    def fit(self) -> None:
        """Train, test the last and the best weights, and write ``result.json``.

        The best weights are those of the epoch with the highest validation accuracy. Without validation, only the last
        weights are tested.

        Raises:
            KeyboardInterrupt: If Ctrl-C stopped the run; its position is saved, and a message says how to continue.
            SystemExit: If SIGTERM stopped the run; its position is saved, too, and the exit code is 143.
        """
        try:
            self._fit()
        finally:
            if self.claim is not None:
                self.claim.release()

    def _fit(self) -> None:
        trainer = self.make_trainer()
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        stops = next((callback for callback in callbacks if isinstance(callback, SignalHandler)), None)
        try:
            with stops.handle_signals() if stops is not None else nullcontext(), report_misfit(self.checkpoint):
                fit_and_test(
                    trainer, self.method, self.data, self.folder, ckpt_path=self.checkpoint, command=self.command
                )
        except (KeyboardInterrupt, SystemExit):
            last = self.folder.locate_checkpoint("last")
            if last.is_file() and trainer.is_global_zero:
                trained = trainer.current_epoch == trainer.max_epochs
                where = "only the tests are left" if trained else f"the last position is in {last}"
                print(f"kdlight: stopped; {where}, go on with {self.resume}", file=sys.stderr)
            if stops is None or stops.received is None:
                raise
            # After SIGTERM and also after SIGINT, the run ends with Lightning's `SIGTERMException`, which is a
            # `SystemExit`. Raise the exceptions that the docstring of `fit` names instead.
            raise KeyboardInterrupt if stops.received == signal.SIGINT else SystemExit(TERMINATED) from None
        if trainer.is_global_zero and self.folder.result.is_file() and not self.options.get("fast_dev_run"):
            print(format_closing_lines(self.folder))

    def validate(self) -> None:
        """Measure the checkpoint on the validation split."""
        with report_misfit(self.checkpoint):
            self._make_plain_trainer().validate(self.method, self.data, ckpt_path=self.checkpoint, weights_only=True)

    def test(self) -> None:
        """Measure the checkpoint on the test set, write ``test.json``, and print the result and the file's path."""
        trainer = self._make_plain_trainer()
        with report_misfit(self.checkpoint):
            found = trainer.test(self.method, self.data, ckpt_path=self.checkpoint, verbose=False, weights_only=True)
        measured = {name.removeprefix("test/"): value for name, value in found[0].items()}
        if trainer.is_global_zero:
            write_test(measured, trainer, self.checkpoint, self.folder)
            print(f"{describe_test(measured)}\nsaved {self.folder.test}")

    def predict(self) -> list[Any]:
        """Return the predictions of the checkpoint's student for the test set, batch by batch."""
        trainer = self._make_plain_trainer()
        with report_misfit(self.checkpoint):
            batches: Any = trainer.predict(self.method, self.data, ckpt_path=self.checkpoint, weights_only=True)
        return batches or []

    def _make_plain_trainer(self) -> Trainer:
        return self._build_trainer(None, {})

    def require_teacher_cache(self) -> TeacherCache:
        """Return the method's teacher cache, which stores the teacher's outputs.

        Raises:
            UserError: If the method has no teacher or no teacher cache.
        """
        cache = self.method.teacher_cache if isinstance(self.method, Distiller) else None
        if cache is None:
            raise UserError(
                f"expected a method with a teacher and a teacher_cache, got {type(self.method).__name__} without a "
                "cache; add --model.teacher_cache.path FOLDER"
            )
        return cache

    def fill_cache(self) -> Trainer:
        """Build the teacher cache if it is missing, or check it if it exists. Nothing is written into a run's folder.

        The cache is filled by a fit without steps, so that teacher, data and devices are set up as in a real run.

        Returns:
            The trainer. Its `is_global_zero` says whether this process has rank 0.

        Raises:
            UserError: If the method has no teacher or no teacher cache.
        """
        self.require_teacher_cache()
        trainer = make_trainer({**self.options, **BARE})
        trainer.fit(self.method, datamodule=self.data)
        return trainer


def describe_test(measured: Mapping[str, float]) -> str:
    """Describe the result of a test in one line."""
    percent = {"accuracy": "test accuracy", "calibration_error": "calibration error", "agreement": "agreement"}
    first, *others = [f"{said} {100 * measured[name]:.2f} %" for name, said in percent.items() if name in measured]
    return ", ".join([first, f"loss {measured['loss']:.4f}", *others])


def format_closing_lines(folder: RunFolder) -> str:
    """Describe in three lines the result of a run, its folder and what to do next."""
    test = folder.read_result()["test"]
    kept = {"last": "last epoch", "best": "selected on the validation split"}
    accuracies = [f"{100 * test[name]['accuracy']:.2f} % ({meaning})" for name, meaning in kept.items() if name in test]
    return "\n".join(
        [
            f"test accuracy: {', '.join(accuracies)}",
            f"the run is in {folder.path}",
            f"next: kdlight compare {folder.path.parent}/*",
        ]
    )
