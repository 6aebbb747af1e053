"""What the student took over from the teacher, measured while it learns: the PID of both about the label.

Dissanayake, Hamman, Halder, Sucholutsky, Zhang, Dutta, "Quantifying Knowledge Distillation Using Partial Information
Decomposition", AISTATS 2025 (arXiv 2411.07483), definitions 3.1 to 3.3 and appendix D.3.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from kdlight.data.batch import Batch
from kdlight.data.module import ImageDataModule
from kdlight.information.broja import broja
from kdlight.information.discretizer import Discretizer
from kdlight.information.histogram import joint_histogram
from kdlight.methods.distiller import frozen_teacher
from kdlight.methods.learner import Learner
from kdlight.methods.stages import trial
from kdlight.models.classifier import Classifier

Split = Literal["val", "test"]
Array = npt.NDArray[np.float32]
Symbols = npt.NDArray[np.int64]


class PIDMonitor(Callback):
    """Logs the information that teacher and student share about the label, in bits.

    A fixed set of probe images from the validation split goes through both networks; each stage is flattened,
    L2-normalised, reduced by PCA and clustered by k-means, as the RID authors do, and the joint histogram of teacher
    symbol, student symbol and label is decomposed (`kdlight.information.broja`). The teacher is clustered once, with a
    fixed seed, so that a curve moves because the student moves; the authors cluster it anew each time, unseeded. Per
    stage: ``pid/<stage>/`` redundant (transferred knowledge), unique_teacher (knowledge left to distil),
    unique_student, synergistic, information_teacher, information_student, and gap, the certified error of the atoms.

    After training the same is measured once on the test set, as in the paper: ``pid_test/<stage>/``. Without a
    validation split (``val_size: 0``) that is all.

    Clusters are fitted and counted on the same images and the estimates are biased upwards where a cell of the
    histogram holds few of them, so let clusters^2 * classes stay well below the number of samples.

    Args:
        every_n_epochs: Measure after every n-th epoch; after the last one always.
        stages: Among "stage1", "stage2", … (the student's, paired with the teacher's from the deepest backwards),
            "embedding" and "logits"; null: all stages and the logits.
        clusters: Symbols of each side.
        components: Principal components before clustering; at most as many as the features have.
        samples: Probe images; null: the whole split.
        seed: Of the clustering.
        tolerance: Of the decomposition, in bits.
        teacher: For a method that has none (the baseline): the teacher it is compared with.
        teacher_weights: Path of that teacher's weights.
        untrained_teacher: Compare with that teacher as it was initialised.
    """

    def __init__(
        self,
        *,
        every_n_epochs: int = 1,
        stages: Sequence[str] | None = None,
        clusters: int = 4,
        components: int = 10,
        samples: int | None = None,
        seed: int = 0,
        tolerance: float = 1e-6,
        teacher: Classifier | None = None,
        teacher_weights: str | None = None,
        untrained_teacher: bool = False,
    ) -> None:
        self.every_n_epochs = every_n_epochs
        self.stages = stages
        self.clusters, self.components, self.seed = clusters, components, seed
        self.samples = samples
        self.tolerance = tolerance
        self.teacher = None if teacher is None else frozen_teacher(teacher, teacher_weights, untrained_teacher)
        self.test: dict[str, dict[str, float]] = {}
        self._probe: list[Batch] = []
        self._places: list[_Place] = []
        self._teacher_symbols: list[Symbols] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the probe images from the validation split and the teacher's symbols of them.

        Raises:
            ValueError: If neither the method nor this callback has a teacher, or the data offer no probe images.
        """
        data: Any = getattr(trainer, "datamodule", None)
        if not isinstance(data, ImageDataModule):
            raise ValueError(f"PIDMonitor takes its probe images from a kdlight data module, got {type(data).__name__}")
        self.teacher = getattr(pl_module, "teacher", None) or self.teacher
        if self.teacher is None:
            raise ValueError(
                f"PIDMonitor measures against a teacher and {type(pl_module).__name__} has none: give the callback "
                "teacher and teacher_weights"
            )
        if trainer.is_global_zero and data.val_size > 0:
            self._take_probe(data, "val", pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure on the validation split and log."""
        epoch = trainer.current_epoch + 1
        due = epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs or trainer.should_stop
        if due and self._probe and trainer.is_global_zero:
            for stage, atoms in self._measure(pl_module).items():
                for name, value in atoms.items():
                    self.log(f"pid/{stage}/{name}", value, rank_zero_only=True)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the last weights on the test set, once."""
        if not trainer.is_global_zero or trainer.fast_dev_run:
            return
        data: Any = trainer.datamodule
        data.setup("test")
        self._take_probe(data, "test", pl_module)
        self.test = self._measure(pl_module)
        flat = {
            f"pid_test/{stage}/{name}": value for stage, atoms in self.test.items() for name, value in atoms.items()
        }
        for logger in trainer.loggers:
            logger.log_metrics({**flat, "epoch": trainer.current_epoch}, step=trainer.global_step)

    def _take_probe(self, data: ImageDataModule, split: Split, learner: LightningModule) -> None:
        assert self.teacher is not None and isinstance(learner, Learner)
        count = None if self.samples is None else min(self.samples, len(data.split(split)))
        self._probe = data.probe_batches(split, count)
        self.teacher.convert(lambda tensor: tensor.to(learner.device))
        of_student = trial(learner.student, learner.student.image_shape).stages
        of_teacher = trial(self.teacher.model, learner.student.image_shape).stages
        self._places = stage_places(len(of_student), len(of_teacher), self.stages)
        features = self._features(self.teacher.model, [place.teacher for place in self._places])
        self._teacher_symbols = [self._symbols(values) for values in features]

    def _measure(self, learner: LightningModule) -> dict[str, dict[str, float]]:
        assert isinstance(learner, Learner)
        target = torch.cat([batch.target for batch in self._probe]).numpy()
        of_student = self._features(learner.student, [place.student for place in self._places])
        measured = {}
        for place, first, features in zip(self._places, self._teacher_symbols, of_student, strict=True):
            counts = joint_histogram(first, self._symbols(features), target)
            pid = broja(counts / counts.sum(), tolerance=self.tolerance)
            measured[place.name] = {
                "redundant": float(pid.redundant),
                "unique_teacher": float(pid.unique_first),
                "unique_student": float(pid.unique_second),
                "synergistic": float(pid.synergistic),
                "information_teacher": float(pid.information_first),
                "information_student": float(pid.information_second),
                "gap": float(pid.gap),
            }
        return measured

    def _features(self, model: Classifier, places: Sequence[int | str]) -> list[Array]:
        """One array (samples, features) a place, computed in evaluation mode and full precision."""
        modes = {module: module.training for module in model.modules()}
        device = next(model.parameters()).device
        collected: list[list[Tensor]] = [[] for _ in places]
        model.eval()
        with torch.no_grad():
            for batch in self._probe:
                computed = model.activations(batch.images.to(device))
                for values, place in zip(collected, places, strict=True):
                    chosen = computed.stages[place] if isinstance(place, int) else getattr(computed, place)
                    values.append(chosen.flatten(1).float().cpu())
        for module, training in modes.items():
            module.training = training
        return [torch.cat(values).numpy() for values in collected]

    def _symbols(self, features: Array) -> Symbols:
        discretizer = Discretizer(clusters=self.clusters, components=self.components, seed=self.seed)
        return discretizer.fit_transform(features)


class _Place(NamedTuple):
    """A name in the log and the stage's place, or the attribute of `Activations`, in each network."""

    name: str
    student: int | str
    teacher: int | str


def stage_places(of_student: int, of_teacher: int, names: Sequence[str] | None) -> list[_Place]:
    """What is measured, by name.

    Args:
        of_student: Number of the student's stages.
        of_teacher: Number of the teacher's stages.
        names: What was asked for; None: all shared stages and the logits.

    Raises:
        ValueError: If a name is not among what both networks have.
    """
    shared = range(max(0, of_student - of_teacher), of_student)
    known = {f"stage{place + 1}": (place, place - of_student + of_teacher) for place in shared}
    places = [_Place(name, *pair) for name, pair in known.items()]
    places += [_Place(name, name, name) for name in ("embedding", "logits")]
    wrong = [name for name in names or () if name not in {place.name for place in places}]
    if wrong:
        raise ValueError(f"PIDMonitor: expected stages among {', '.join(place.name for place in places)}, got {wrong}")
    wanted = names if names is not None else [place.name for place in places if place.name != "embedding"]
    return [place for place in places if place.name in wanted]
