"""What the student took over from the teacher, measured while it learns: the PID of both about the label.

Dissanayake, Hamman, Halder, Sucholutsky, Zhang, Dutta, "Quantifying Knowledge Distillation Using Partial Information
Decomposition", AISTATS 2025 (arXiv 2411.07483), definitions 3.1 to 3.3 and appendix D.3.
"""

__all__ = ["PIDMonitor"]

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from kdlight.arguments import Recorded
from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError
from kdlight.information.discretizer import Method
from kdlight.measuring.comparison import Comparison, Report
from kdlight.measuring.probe import Probe
from kdlight.measuring.symbols import Symboliser
from kdlight.methods.base.distiller import freeze_teacher
from kdlight.methods.base.filtered import FilteredDistiller
from kdlight.methods.base.learner import Learner
from kdlight.models.classifier import Classifier
from kdlight.ranges import PositiveFloat, PositiveInt, Probes, Ranged, Seed

Split = Literal["val", "test"]
CLUSTERED = ("kmeans", "quantile")


class PIDMonitor(Recorded, Ranged, Callback):
    """Logs the information that teacher and student share about the label, in bits.

    Fixed probe images go through both networks; the features of a stage become symbols (by default as the RID authors
    do: flattened, L2-normalised, reduced by PCA, clustered by k-means), and the joint histogram of teacher symbol,
    student symbol and label is decomposed. Logged per stage as ``pid/<stage>/…``: redundant (transferred knowledge),
    unique_teacher (knowledge left to distil), unique_student, synergistic, information_teacher, information_student and
    gap, with bias corrections, 95 % intervals and fractions as `kdlight.information.atoms.estimated_atoms` names them.
    After training the same is measured once on the test set, as in the paper: ``pid_test/<stage>/…``. ``pid/seconds``
    is what the measurement cost. Nothing is done during a training step.

    Where paper and authors' code have it otherwise: they fit the clusters on the images that they count, which inflates
    the information; here they are fitted on images of the training split, and counted are others. They cluster the
    teacher anew each time, unseeded; here its symbols are made once, kept in the run's folder for a resumed run, and a
    curve moves because the student moves.

    For a method with filters (RID, TED) two more keys say what it certifies, see
    `kdlight.measuring.filters.Filtered.certificates`. A stage whose features are not finite is left out with a warning.

    Args:
        every_n_epochs: Measure after every n-th epoch; after the last one always.
        stages: Among "stage1", "stage2", … (the student's, paired with the teacher's from the deepest backwards),
            "embedding" and "logits"; null: all stages and the logits.
        filtered: Measure what the method's filters make of the stages instead, f_t(T) and f_s(S), as
            ``pid/filtered_<stage>/…``. The teacher's filters learn too, so its symbols are made anew each time.
        target: Name of a further target of the data, such as CIFAR-100's "coarse", instead of the label; logged as
            ``pid/<target>_<stage>/…``. A run may have a monitor for each.
        symbols: How features become symbols: "kmeans", "quantile", "probe", or, of logits alone, "predictions".
        clusters: Symbols of each side, of kmeans and quantile. Let clusters^2 * classes stay below the number of
            samples.
        components: Principal components before clustering; at most as many as the features have.
        samples: Probe images of the measured split, at least 4; null: the whole split.
        fit_samples: Training images on which clusters are fitted; their features are in memory meanwhile.
        seed: Of the clustering and the resampling.
        tolerance: Of the decomposition, in bits.
        teacher: For a method that has none (the baseline): the teacher it is compared with.
        teacher_weights: Path of that teacher's weights.
        untrained_teacher: Compare with that teacher as it was initialised.

    Raises:
        UserError: If a number is too small, or predictions are asked of something else than logits.
    """

    def __init__(
        self,
        *,
        every_n_epochs: PositiveInt = 1,
        stages: Sequence[str] | None = None,
        filtered: bool = False,
        target: str | None = None,
        symbols: Method = "kmeans",
        clusters: PositiveInt = 4,
        components: PositiveInt = 10,
        samples: Probes | None = None,
        fit_samples: Probes = 2_000,
        seed: Seed = 0,
        tolerance: PositiveFloat = 1e-6,
        teacher: Classifier | None = None,
        teacher_weights: str | None = None,
        untrained_teacher: bool = False,
    ) -> None:
        if symbols == "predictions" and (filtered or stages is None or list(stages) != ["logits"]):
            raise UserError(f"PIDMonitor: predictions are symbols of logits: expected stages [logits], got {stages}")
        self.every_n_epochs = every_n_epochs
        self.stages = stages
        self.filtered = filtered
        self.target = target
        self.symboliser = Symboliser(symbols, clusters, components, seed)
        self.samples, self.fit_samples = samples, fit_samples
        self.tolerance = tolerance
        self.teacher = None if teacher is None else freeze_teacher(teacher, teacher_weights, untrained_teacher)
        self.test: Report = {}
        self._validation: Comparison | None = None
        self._left_out: set[str] = set()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the probe images from the validation split and the teacher's symbols of them.

        Raises:
            UserError: If neither the method nor this callback has a teacher, the data offer no probe images, stages
                are asked for that there are not, or the teacher's features are not finite.
        """
        data: Any = getattr(trainer, "datamodule", None)
        if not isinstance(data, ImageDataModule):
            raise UserError(f"PIDMonitor takes its probe images from a kdlight data module, got {type(data).__name__}")
        self.teacher = getattr(pl_module, "teacher", None) or self.teacher
        if self.teacher is None:
            raise UserError(
                f"PIDMonitor measures against a teacher and {type(pl_module).__name__} has none: give the callback "
                "teacher and teacher_weights"
            )
        if self.filtered and not isinstance(pl_module, FilteredDistiller):
            raise UserError(
                f"PIDMonitor: filtered needs a method with filters and heads, such as RID, and "
                f"{type(pl_module).__name__} has none; leave filtered out"
            )
        self._validation = None
        if trainer.is_global_zero and data.val_size > 0:
            self._validation = self._comparison(trainer, "val", pl_module)
            classes = self._validation.classes
            sides = self.symboliser.clusters if self.symboliser.method in CLUSTERED else classes
            cells = sides**2 * classes
            if self._validation.samples < 5 * cells:
                rank_zero_info(
                    f"PIDMonitor: {self._validation.samples} samples for {sides} x {sides} x {classes} = "
                    f"{cells} cells are fewer than 5 a cell: expect bias, in the synergy above all, which the "
                    "correction leaves in part; fewer clusters or more samples help"
                )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure on the validation split and log."""
        epoch = trainer.current_epoch + 1
        due = epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs or trainer.should_stop
        if due and self._validation is not None:
            started = time.perf_counter()
            for stage, report in self._measured(self._validation, trainer, pl_module).items():
                for name, value in report.items():
                    pl_module.log(f"pid/{stage}/{name}", value, rank_zero_only=True)
            pl_module.log(f"pid/{self._validation.prefix}seconds", time.perf_counter() - started, rank_zero_only=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the last weights on the test set, once, before they leave the device."""
        if not trainer.is_global_zero or getattr(trainer, "fast_dev_run", False):
            return
        started = time.perf_counter()
        data: Any = getattr(trainer, "datamodule", None)
        data.setup("test")
        self.test = self._measured(self._comparison(trainer, "test", pl_module), trainer, pl_module)
        flat = {
            f"pid_test/{stage}/{name}": value for stage, report in self.test.items() for name, value in report.items()
        }
        flat |= {"pid_test/seconds": time.perf_counter() - started, "epoch": trainer.current_epoch}
        for logger in trainer.loggers:
            logger.log_metrics(flat, step=trainer.global_step)

    def _comparison(self, trainer: Trainer, split: Split, learner: LightningModule) -> Comparison:
        assert self.teacher is not None
        assert isinstance(learner, Learner)
        self.teacher.convert(lambda tensor: tensor.to(learner.device))
        data: Any = getattr(trainer, "datamodule", None)
        return Comparison(
            learner,
            self.teacher,
            Probe.take(data, split, self.samples, self.fit_samples, self.target),
            self.symboliser,
            stages=self.stages,
            target=self.target,
            filtered=self.filtered,
            tolerance=self.tolerance,
            keep_in=None if getattr(trainer, "fast_dev_run", False) else Path(trainer.default_root_dir),
        )

    def _measured(self, comparison: Comparison, trainer: Trainer, learner: LightningModule) -> Report:
        assert isinstance(learner, Learner)
        report = comparison.measure(learner)
        for stage in [stage for stage in comparison.stages if stage not in report and stage not in self._left_out]:
            self._left_out.add(stage)
            rank_zero_warn(
                f"PIDMonitor: the student's {stage} is not finite after epoch {trainer.current_epoch}; its atoms are "
                "left out as long as it is not",
                category=UserWarning,
            )
        return report
