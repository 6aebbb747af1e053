"""Measure during training how much information about the label student and teacher share.

The measure is the partial information decomposition (PID) of teacher, student and label:
Dissanayake, Hamman, Halder, Sucholutsky, Zhang, Dutta, "Quantifying Knowledge Distillation Using Partial Information
Decomposition", AISTATS 2025 (arXiv 2411.07483), definitions 3.1 to 3.3 and appendix D.3.
"""

__all__ = ["PIDMonitor"]

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from kdlight.arguments import ArgumentRecord
from kdlight.callbacks.pid_pictures import PIDPictures
from kdlight.callbacks.pid_warnings import PIDWarnings
from kdlight.data.base.image_module import ImageDataModule
from kdlight.data.base.split_module import SplitName
from kdlight.errors import UserError
from kdlight.information.discretizer import Method
from kdlight.measuring.probe import FEWEST, Probe
from kdlight.measuring.repeated_discretizer import RepeatedDiscretizer
from kdlight.measuring.report import Report
from kdlight.methods.base.filtered_distiller import FilteredDistiller
from kdlight.methods.base.learner import Learner
from kdlight.ranges import PositiveFloat, PositiveInt, Probes, RangeCheck, Seed

if TYPE_CHECKING:  # slow to import, so it is imported where it is used, after wrong arguments have been reported
    from kdlight.callbacks.network_measurement import NetworkMeasurement

#: How many training images are measured if there is no validation split and `samples` is null.
TRAINING_SAMPLES = 5_000


class PIDMonitor(PIDPictures, ArgumentRecord, RangeCheck, Callback):
    """Logs how much information teacher and student share about the label, in bits.

    Both networks compute features of fixed probe images. The features of a stage are turned into symbols (integers). By
    default this is done as in the code of Dissanayake et al. (arXiv 2411.07483): features are flattened, L2-normalised,
    reduced by PCA, and clustered. What an image's two symbols (the teacher's and the student's) tell of the label is
    then split into four atoms, logged for each stage as ``pid/<stage>/…``: redundant (transferred knowledge),
    unique_teacher (knowledge left to distil), unique_student (known only to the student) and synergistic (told only by
    both symbols together). Mutual informations with the label, which are sums of atoms, are logged, too. These values
    are corrected for bias. The atoms and the information of each network have intervals (``_lower``, ``_upper``). A
    value is left out if there are too few images to estimate it. ``kdlight/measuring/README.md`` explains every key.

    The probe images are those of the validation split. If there is no validation split, a fixed part of the training
    images is used, and the keys begin with ``pid_train/``. After training, the test set is measured once, as in the
    paper (``pid_test/…``). ``pid/seconds`` is the duration of a measurement. Measurements run between epochs.

    Two things differ from the paper and its authors' code. The authors fit the clusters on the same images from which
    they then estimate the information, and thereby overestimate it; here the clusters are fitted on other images, from
    the training split. The authors cluster once per measurement, without a seed; here every value is the mean over
    several seeded clusterings, whose spread widens the interval. The teacher's symbols are computed once and stored.

    RID and TED learn filters, f_t of the teacher's features T and f_s of the student's features S. For these methods,
    further keys are logged: bounds on the information, and how far RID's assumption about f_t(T) - f_s(S) is violated.
    A stage at which the student's features are not finite is left out with a warning.

    Args:
        times: How many times to measure during a run, evenly spread; the last time is after the last epoch.
        every_n_epochs: Measure after every n-th epoch and after the last one; `times` is then ignored.
        stages: Any of "stage1", "stage2", …, "embedding", "logits", "deepest" and "all"; null: the deepest stage and
            the logits (if `filtered`: all stages with filters). "stage1" is the student's first stage. The deepest
            stages of the two networks are compared with each other, as are their second deepest stages, and so on.
        filtered: Measure the method's filtered features f_t(T) and f_s(S) instead of the networks' features; keys are
            ``pid/filtered_<stage>/…``. The teacher's filters learn, so its symbols are computed anew every time.
        target: A target of the data that replaces the label, such as CIFAR-100's "coarse" (the superclass); keys are
            ``pid/<target>_<stage>/…``.
        symbols: How features become symbols: "kmeans", "quantile", "probe" (the predictions of a linear
            classifier on the features) or, for logits only, "predictions". See `kdlight.information.Discretizer`.
        clusters: Number of symbols per network, for kmeans and quantile. "auto": as many as the probe images allow, at
            most 20 and at most twice the number of classes. k symbols carry at most log2 k bits; this limit is logged.
        repeats: How many times features are turned into symbols. Each time, clusters are fitted on another part of the
            `fit_samples` images. Every value is the mean over these repetitions.
        components: Features are reduced to this many principal components ("quantile": to one). If there are fewer
            features, all of their components are used.
        samples: Number of probe images, at least 8; null: the whole split, but at most 5,000 training images.
        fit_samples: Number of training images on which clusters are fitted; their features have to fit in memory.
        cache: Folder in which the teacher's symbols are stored, so that other runs with the same teacher and images can
            read them; null: the run's folder.
        details: Also log values without the correction for bias (plug-in values), redundancies by other definitions,
            and what each class contributes to the atoms.
        seed: Seed of the clustering, and of the random subsets of images from which bias and interval are estimated.
        tolerance: The solver of a decomposition stops when its error is at most this many bits.

    Raises:
        UserError: If a number is too small. Also if ``symbols`` is "predictions", unless ``stages`` is ["logits"] and
            ``filtered`` is false.
    """

    only_observes = True  # so a resumed run may add, change or leave out this callback

    def __init__(
        self,
        *,
        times: PositiveInt = 10,
        every_n_epochs: PositiveInt | None = None,
        stages: Sequence[str] | None = None,
        filtered: bool = False,
        target: str | None = None,
        symbols: Method = "kmeans",
        clusters: PositiveInt | Literal["auto"] = "auto",
        repeats: PositiveInt = 5,
        components: PositiveInt = 10,
        samples: Probes | None = None,
        fit_samples: Probes = 2_000,
        cache: str | None = None,
        details: bool = False,
        seed: Seed = 0,
        tolerance: PositiveFloat = 1e-5,
    ) -> None:
        if symbols == "predictions" and (filtered or stages is None or list(stages) != ["logits"]):
            needed = "'symbols: predictions' needs 'stages: [logits]' and 'filtered: false'"
            raise UserError(f"PIDMonitor: {needed}, got 'stages: {stages}' and 'filtered: {str(filtered).lower()}'")
        self.times, self.every_n_epochs = times, every_n_epochs
        self.stages, self.filtered, self.target = stages, filtered, target
        self.discretizer = RepeatedDiscretizer(
            symbols, None if clusters == "auto" else clusters, components, seed, repeats
        )
        self.samples, self.fit_samples = samples, fit_samples
        self.cache, self.details, self.tolerance = cache, details, tolerance
        self.test: Report | None = None
        self._split: SplitName = "val"
        self._during: NetworkMeasurement | None = None
        self._warnings = PIDWarnings()

    @property
    def _key(self) -> str:
        return "pid" if self._split == "val" else "pid_train"

    @property
    def _prefix(self) -> str:
        """What stands before the stage's name in each key, such as ``filtered_`` or ``coarse_``; empty by default."""
        return ("filtered_" if self.filtered else "") + (f"{self.target}_" if self.target else "")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the probe images. The teacher's symbols are computed at the first measurement.

        Raises:
            UserError: If the method has no teacher, the data module is not kdlight's, or a stage does not exist.
        """
        data: Any = getattr(trainer, "datamodule", None)
        if not isinstance(data, ImageDataModule):
            raise UserError(f"PIDMonitor takes its probe images from a kdlight data module, got {type(data).__name__}")
        if getattr(pl_module, "teacher", None) is None:
            raise UserError(
                f"PIDMonitor compares the student with a teacher, but {type(pl_module).__name__} has none: give the "
                "method a teacher and teacher_weights (Supervised accepts a teacher without learning from it)"
            )
        if self.filtered and not isinstance(pl_module, FilteredDistiller):
            raise UserError(
                "PIDMonitor: 'filtered: true' needs a method with filters and heads, such as RID, but "
                f"{type(pl_module).__name__} has none; set 'filtered: false'"
            )
        self._split = "val" if data.val_size > 0 else "train"
        self._during, self.test = None, None
        if trainer.is_global_zero:
            self._during = self._make_measurement(trainer, pl_module, self._split)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure on the validation split, or on a part of the training images, and log."""
        if self._during is None or not self._is_due(trainer):
            return
        started = time.perf_counter()
        report = self._measure(self._during, trainer, pl_module)
        values = report.to_dict(f"{self._key}/{self._prefix}", details=self.details)
        values[f"{self._key}/{self._prefix}seconds"] = time.perf_counter() - started
        for name, value in values.items():
            pl_module.log(name, value, rank_zero_only=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the final weights on the test set while the networks are still on the device."""
        if not trainer.is_global_zero or getattr(trainer, "fast_dev_run", False):
            return
        started = time.perf_counter()
        data: Any = getattr(trainer, "datamodule", None)
        data.setup("test")
        images = len(data.get_split("test"))
        if images < FEWEST:
            self._warnings.warn_of_small_test_set(images)
            return
        measurement = self._make_measurement(trainer, pl_module, "test")
        self.test = self._measure(measurement, trainer, pl_module)
        values = self.test.to_dict(f"pid_test/{self._prefix}", details=self.details)
        values |= {f"pid_test/{self._prefix}seconds": time.perf_counter() - started, "epoch": trainer.current_epoch}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure on the test set if `on_train_end` was not called, as in a resumed run that has no epoch left."""
        if self.test is None:
            self.on_train_end(trainer, pl_module)

    def collect_result(self) -> Mapping[str, Any]:
        """Return the measurement on the test set, for ``result.json``: numbers by stage, and the settings used."""
        if self.test is None:
            return {}
        found = self.test.stages.items()
        stages = {self._prefix + name: report.to_dict(details=self.details) for name, report in found}
        bounds = {self._prefix + name: value for name, value in self.test.bounds.items()}
        settings = {self._prefix or "label": self.list_settings()}
        return {"pid_test": stages, "pid_bounds": bounds, "pid_settings": settings}

    def list_settings(self) -> dict[str, Any]:
        """Return the settings of the measurement, for captions."""
        discretizer = self.discretizer
        clusters = "auto" if discretizer.clusters is None else discretizer.clusters
        of_stage = {} if self._during is None else self._during.clusters
        images = {} if self._during is None else {"split": self._split, "samples": self._during.probe.samples}
        counts = {"clusters": of_stage or clusters, "repeats": discretizer.repeats}
        return {"symbols": discretizer.method, **counts, **images}

    def _is_due(self, trainer: Trainer) -> bool:
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        if epoch == epochs or trainer.should_stop:
            return True
        if self.every_n_epochs is not None or epochs < 1:
            return epoch % (self.every_n_epochs or 1) == 0
        return epoch * self.times // epochs > (epoch - 1) * self.times // epochs

    def _make_measurement(self, trainer: Trainer, method: LightningModule, split: SplitName) -> "NetworkMeasurement":
        from kdlight.callbacks.network_measurement import NetworkMeasurement

        assert isinstance(method, Learner)
        data: Any = getattr(trainer, "datamodule", None)
        samples = TRAINING_SAMPLES if split == "train" and self.samples is None else self.samples
        probe = Probe.take(data, split, samples, self.fit_samples, self.target)
        keep_in = None if getattr(trainer, "fast_dev_run", False) else Path(self.cache or trainer.default_root_dir)
        return NetworkMeasurement(
            method,
            probe,
            self.discretizer,
            self.stages,
            filtered=self.filtered,
            certifies=self.target is None,
            keep_in=keep_in,
            tolerance=self.tolerance,
            details=self.details,
        )

    def _measure(self, measurement: "NetworkMeasurement", trainer: Trainer, method: LightningModule) -> Report:
        assert isinstance(method, Learner)
        report = measurement.measure(method)
        self._warnings.warn_of_infinite_stages(measurement.stages, report, trainer.current_epoch)
        self._warnings.report_limits(report, measurement.probe.samples)
        return report
