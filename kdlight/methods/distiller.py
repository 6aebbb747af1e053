"""What every distillation method shares: the frozen teacher beside the student."""

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from kdlight.caching.teacher_cache import CachedTeacher, Lesson, TeacherCache, opened
from kdlight.data.batch import Batch
from kdlight.data.module import ImageDataModule
from kdlight.methods.learner import Learner
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.ensemble import Ensemble
from kdlight.models.frozen import Frozen
from kdlight.models.weights import load_weights

if TYPE_CHECKING:
    Teacher = Classifier | Frozen
else:
    Teacher = Classifier  # the command line builds classifiers only


TEACHER_TYPES = {"bf16": torch.bfloat16, "16": torch.float16}


def frozen_teacher(teacher: Teacher, teacher_weights: str | None, untrained_teacher: bool = False) -> Frozen:
    """Freeze a teacher with its weights loaded.

    Raises:
        ValueError: If no weights are given and the teacher is not meant to be untrained, or both are.
    """
    if isinstance(teacher, Frozen):
        return teacher
    ways = (teacher_weights is not None) + untrained_teacher + (isinstance(teacher, Ensemble) and teacher.has_weights)
    if ways != 1:
        given = "neither" if ways == 0 else "both"
        raise ValueError(
            f"expected teacher_weights (a checkpoint's path; or an ensemble's own weights) or untrained_teacher: true, "
            f"got {given}; in Python, a teacher whose weights are loaded already is passed as Frozen(model)"
        )
    if teacher_weights is not None:
        load_weights(teacher, teacher_weights)
    return Frozen(teacher)


class Distiller(Learner):
    """A student that learns from a frozen teacher.

    A method implements `loss_terms`. The teacher lies outside the module tree: it has no parameter here, no entry in a
    checkpoint, stays in evaluation mode and costs one forward pass without a graph a step.

    Args:
        student: The network that is trained.
        teacher: The network it learns from.
        teacher_weights: Path of the teacher's weights: a run's checkpoint, safetensors, or another layout of the field.
        untrained_teacher: Distil from a teacher as it was initialised, as the RID paper does on purpose.
        teacher_precision: Let the teacher alone compute in a lower precision, for devices that are faster in it.
        teacher_cache: Compute the teacher's outputs on a number of views of every image once, and replay these views.
        learner: The arguments of `Learner`.

    Raises:
        ValueError: If the teacher has no weights, or its classes are not the student's and the method compares logits.
    """

    compares_logits: ClassVar[bool] = False
    # What the method reads of the teacher: fields of `Activations`. The fewer, the smaller a cache.
    reads: ClassVar[tuple[str, ...]] = Activations._fields
    # Whether a backward pass may need the teacher's own tensors, which `inference_mode` does not allow.
    saves_teacher: ClassVar[bool] = True
    distils: ClassVar[str] = "–"  # what is compared, as `kdlight methods` lists it

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        teacher_weights: str | None = None,
        untrained_teacher: bool = False,
        teacher_precision: Literal["bf16", "16"] | None = None,
        teacher_cache: TeacherCache | None = None,
        **learner: Any,
    ) -> None:
        super().__init__(student, **learner)
        if student is teacher:
            raise ValueError("student and teacher are the same object; build two networks")
        self.teacher = frozen_teacher(teacher, teacher_weights, untrained_teacher)
        self.untrained_teacher = untrained_teacher
        self.teacher_precision = teacher_precision
        self.teacher_cache = teacher_cache
        self._cached: CachedTeacher | None = None
        self._resumed_cache: dict[str, str] | None = None
        if self.compares_logits:
            self.require_same_classes(type(self).__name__)

    def require_same_classes(self, what: str) -> None:
        """Refuse a pair whose logits cannot be compared.

        Raises:
            ValueError: If the numbers of classes differ.
        """
        of_student, of_teacher = self.student.num_classes, self.teacher.num_classes
        if of_student != of_teacher:
            raise ValueError(
                f"{what} compares logits: expected a teacher of the student's {of_student} classes, got {of_teacher}; "
                "choose a teacher trained on the student's data, or a method that compares features"
            )

    def require_one_teacher(self, what: str) -> None:
        """Refuse an ensemble, which has no feature maps of its own.

        Raises:
            ValueError: If the teacher is one.
        """
        if isinstance(self.teacher.model, Ensemble):
            raise ValueError(
                f"{what} compares features: expected one teacher, got an ensemble of "
                f"{len(self.teacher.model.members)}; choose one of its members, or a method that compares logits alone"
            )

    @abstractmethod
    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """The weighted terms of the loss by name, from what both networks computed on the batch."""

    def batch_terms(self, batch: Batch) -> dict[str, Tensor]:
        """One forward pass of each network, then the method's terms."""
        teacher = self.taught(batch)
        return self.loss_terms(self.student.activations(batch.images), teacher, batch)

    def taught(self, batch: Batch) -> Activations:
        """What the teacher computes on a training batch, or has computed on the same views before."""
        if self._cached is not None:
            return self._cached.activations(self.current_epoch, batch.index)
        return self.teacher.activations(batch.images, inference=not self.saves_teacher).only(self.reads)

    def setup(self, stage: str) -> None:
        """As every learner's; the teacher computes in its own precision from here on."""
        super().setup(stage)
        if self.teacher_precision is not None:
            self.teacher.lower(TEACHER_TYPES[self.teacher_precision])

    def compile_networks(self, mode: str) -> None:
        """Compile the student and the teacher."""
        super().compile_networks(mode)
        self.teacher.compile(mode)

    def lesson(self) -> Lesson:
        """What is taken from the teacher in a step."""
        return Lesson(self.reads, views=getattr(self, "views", 1), strong=getattr(self, "strong_view", False))

    def on_fit_start(self) -> None:
        """Open the cache, or make it.

        Raises:
            ValueError: If the cache was made for another run, or the data are not a kdlight data module.
        """
        if self.teacher_cache is None:
            return
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, ImageDataModule):
            raise ValueError(
                f"teacher_cache replays the views of a kdlight data module, got {type(data).__name__}; pass one as "
                "datamodule, or leave teacher_cache out"
            )
        self._cached = opened(self.teacher_cache, self.teacher, data, self.lesson(), self.trainer)
        if self._resumed_cache not in (None, self._cached.sha256):
            raise ValueError(
                f"the teacher cache {self.teacher_cache.path} is not the one that this run began with: put that back, "
                "or begin a new run"
            )
        if data.augment:
            data.replay(self._cached.parameters)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Where the student moves (device, precision), the teacher follows, although it is not a child.
        super()._apply(fn, recurse)
        self.teacher.convert(fn)
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record which teacher this student learned from, and through which cache."""
        checkpoint["teacher_sha256"] = self.teacher.sha256()
        if self._cached is not None:
            checkpoint["teacher_cache_sha256"] = self._cached.sha256

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with another teacher.

        Raises:
            ValueError: If the checkpoint was made with a teacher of other weights.
        """
        self._resumed_cache = checkpoint.get("teacher_cache_sha256")
        expected, given = checkpoint.get("teacher_sha256"), self.teacher.sha256()
        if expected not in (None, given):
            raise ValueError(
                f"the checkpoint's student learned from a teacher with sha256 {expected[:12]}…, this one has "
                f"{given[:12]}…; give the teacher_weights of that run (an untrained teacher's lie in its run folder)"
            )
