"""The base of all distillation methods: a student with a frozen teacher."""

__all__ = ["Distiller"]

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from kdlight.caching.builder import TeacherOutputs
from kdlight.caching.teacher_cache import CachedTeacher, TeacherCache, open_cache
from kdlight.data.base.batch import Batch
from kdlight.data.base.trainer_data import require_image_data
from kdlight.errors import UserError
from kdlight.methods.base.learner import Learner, LearnerArguments
from kdlight.methods.base.teacher import Teacher, freeze_teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.ensemble import Ensemble
from kdlight.models.frozen import Frozen
from kdlight.unpack import Unpack

# A teacher cache holds outputs for certain augmented views. A step's images count as these views if their normalised
# pixels differ from those of the views by at most this on average. Rounding errors of different devices are far
# smaller; MixUp and CutMix change images far more.
SAME_IMAGES = 0.05
TEACHER_TYPES = {"bf16": torch.bfloat16, "16": torch.float16}


class DistillerArguments(LearnerArguments, total=False):
    """The arguments that methods pass on to `Distiller`, which explains them and has their defaults."""

    teacher_weights: str | None
    untrained_teacher: bool
    teacher_precision: Literal["bf16", "16"] | None
    teacher_cache: TeacherCache | None


class Distiller(Learner):
    """A student that learns from a frozen teacher.

    A method implements `loss_terms`. The teacher is not a submodule: its parameters do not belong to the method, and
    checkpoints have no entries for it. The teacher stays in evaluation mode and computes at most one forward pass in
    each step, without an autograd graph unless a method needs one.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        teacher_weights: Path of the teacher's weights: a run's checkpoint, a safetensors file, or a file in the layout
            of RepDistiller, mdistiller, torchvision or timm.
        untrained_teacher: Allow a teacher that was never trained. The RID paper (arXiv 2411.07483) distils from such a
            teacher on purpose.
        teacher_precision: A lower precision for the teacher alone. Some devices compute faster in it. null: the
            precision of the run.
        teacher_cache: Compute the teacher's outputs only once, on a fixed number of augmented views of every image, and
            train on these views.
        base: Passed on to `Learner`: student_weights, optimizer, scheduler, …

    Raises:
        UserError: If the teacher's weights come from no source or from several, see `freeze_teacher`; or if the method
            compares logits and the networks' numbers of classes differ.
    """

    compares_logits: ClassVar[bool] = False
    # The fields of the teacher's `Activations` that the method reads. Fewer fields make a smaller teacher cache.
    reads: ClassVar[tuple[str, ...]] = Activations._fields
    # Whether a backward pass may need tensors of the teacher. If not, the teacher runs in `inference_mode`.
    saves_teacher: ClassVar[bool] = True
    distils: ClassVar[str] = "–"  # what the method compares, for the list of `kdlight methods`

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        teacher_weights: str | None = None,
        untrained_teacher: bool = False,
        teacher_precision: Literal["bf16", "16"] | None = None,
        teacher_cache: TeacherCache | None = None,
        **base: Unpack[LearnerArguments],
    ) -> None:
        super().__init__(student, **base)
        if student is teacher:
            raise UserError("student and teacher are the same object; build two networks")
        self.teacher = freeze_teacher(teacher, teacher_weights, untrained_teacher)
        self.untrained_teacher = untrained_teacher
        # Runs store the weights of a teacher that is untrained or was given as a `Frozen` object, because the
        # configuration has no path from which these weights could be loaded again.
        self.keeps_teacher = untrained_teacher or isinstance(teacher, Frozen)
        if not isinstance(teacher_cache, TeacherCache | None):
            raise UserError(
                f"teacher_cache: expected kdlight.caching.TeacherCache(path), got {teacher_cache!r}; "
                "pass such an object"
            )
        self.teacher_precision = teacher_precision
        self.teacher_cache = teacher_cache
        self._cached: CachedTeacher | None = None
        self._cache_fits = False
        self._resumed_cache: dict[str, str] | None = None
        if self.compares_logits:
            self.require_same_classes(type(self).__name__)

    def require_same_classes(self, what: str) -> None:
        """Refuse a pair whose logits cannot be compared.

        Args:
            what: What compares logits, for example the method's name; the message begins with this text.

        Raises:
            UserError: If the numbers of classes differ.
        """
        of_student, of_teacher = self.student.num_classes, self.teacher.num_classes
        if of_student != of_teacher:
            raise UserError(
                f"{what} compares logits: expected a teacher with the student's number of classes ({of_student}), got "
                f"{of_teacher}; choose a teacher trained on the student's data, or a method that compares features"
            )

    def require_one_teacher(self, what: str) -> None:
        """Refuse an ensemble as teacher, because its feature maps are the concatenated maps of several networks.

        Args:
            what: What compares features, for example the method's name; the message begins with this text.

        Raises:
            UserError: If the teacher is an ensemble.
        """
        if isinstance(self.teacher.model, Ensemble):
            raise UserError(
                f"{what} compares features: expected one teacher, got an ensemble of "
                f"{len(self.teacher.model.members)}; choose one of its members as teacher, or one of the "
                "methods RID, TED and VID, or a method that compares only logits"
            )

    @abstractmethod
    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss by name, computed from both networks' activations on the batch."""

    def batch_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Run both networks forward once, then compute the method's terms."""
        teacher = self.teacher_activations(batch)
        return self.loss_terms(self.student.activations(batch.images), teacher, batch)

    def teacher_activations(self, batch: Batch) -> Activations:
        """Compute the teacher's activations on a training batch, or read them from the cache."""
        if self._cached is not None:
            if not self._cache_fits:
                self._require_cached_views(batch, self._cached)
            return self._cached.activations(self.current_epoch, batch.index)
        return self.teacher.activations(batch.images, inference=not self.saves_teacher).keep_only(self.reads)

    def setup(self, stage: str) -> None:
        """Set up as every learner does, and switch the teacher to its own precision.

        Raises:
            UserError: If the teacher was switched to another precision before.
        """
        super().setup(stage)
        wanted = TEACHER_TYPES[self.teacher_precision] if self.teacher_precision is not None else None
        if self.teacher.lowered not in (None, wanted):
            raise UserError(
                f"this teacher computes in {self.teacher.lowered} since an earlier fit: expected the same "
                f"teacher_precision, got {self.teacher_precision}; build the teacher anew"
            )
        if wanted is not None:
            self.teacher.lower(wanted)

    def compile_networks(self, mode: str) -> None:
        """Compile the student and the teacher."""
        super().compile_networks(mode)
        self.teacher.compile(mode)

    def describe_teacher_outputs(self) -> TeacherOutputs:
        """Describe which outputs of the teacher a training step reads."""
        return TeacherOutputs(self.reads, views=getattr(self, "views", 1), strong=getattr(self, "strong_view", False))

    def on_fit_start(self) -> None:
        """Open the teacher cache. If it does not exist yet, create and fill it first.

        Raises:
            UserError: If the cache does not fit this run, see `open_cache`, or the data are not a kdlight data module.
        """
        # FSDP moves only the method's own parameters to the device, and the teacher's are not among them.
        self.teacher.convert(lambda tensor: tensor.to(self.device))
        if self.teacher_cache is None:
            return
        data = require_image_data(self.trainer, "teacher_cache replays the views of the data")
        self._cached = open_cache(self.teacher_cache, self.teacher, data, self.describe_teacher_outputs(), self.trainer)
        self._cache_fits = False
        if data.augment:
            data.views.replay(self._cached.parameters)

    def on_train_start(self) -> None:
        """Refuse to resume with another cache, because the views of the images would change.

        Raises:
            UserError: If the run began with another cache, or if `teacher_cache` was added or left out since then.
        """
        super().on_train_start()
        ours = None if self._cached is None else self._cached.sha256
        if self.trainer.ckpt_path is not None and self._resumed_cache != ours:
            began = "without a teacher cache" if self._resumed_cache is None else "with another teacher cache"
            raise UserError(
                f"this run began {began}: expected the same teacher_cache, got {self.teacher_cache}; set "
                "teacher_cache as it was at the beginning and restore the cache's files, or begin a new run"
            )

    def _require_cached_views(self, batch: Batch, cached: CachedTeacher) -> None:
        """Check that a fit's first images are the views for which the cache has outputs; later steps skip the check."""
        data, outputs = self.trainer.datamodule, self.describe_teacher_outputs()  # type: ignore[attr-defined]
        few, parameters = batch.index[:4].cpu(), cached.parameters[self.current_epoch % len(cached.parameters)]
        (expected,) = data.load_views([few], parameters, views=outputs.views, strong=outputs.strong)
        seen = batch.images.unflatten(0, (outputs.views, -1))[:, : len(few)].flatten(0, 1)
        if (seen.float().cpu() - expected.images).abs().mean() > SAME_IMAGES:
            raise UserError(
                "the images of this step are not the views that the teacher cache holds: something changes the views "
                "of the data module, for example MixUp or CutMix; leave teacher_cache out"
            )
        self._cache_fits = True

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # When the student is moved (device, precision), the teacher moves, too, although it is not a submodule.
        super()._apply(fn, recurse)
        self.teacher.convert(fn)
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record the hashes of the teacher and of its cache (None without a cache)."""
        checkpoint["teacher_sha256"] = self.teacher.sha256()
        checkpoint["teacher_cache_sha256"] = None if self._cached is None else self._cached.sha256

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to resume with another teacher.

        Raises:
            UserError: If the checkpoint was made with a teacher of other weights.
        """
        self._resumed_cache = checkpoint.get("teacher_cache_sha256")
        expected, given = checkpoint.get("teacher_sha256"), self.teacher.sha256()
        if expected not in (None, given):
            raise UserError(
                f"the checkpoint's student learned from a teacher with sha256 {expected[:12]}…, but the given teacher "
                f"has {given[:12]}…; set teacher_weights to those of that run (for an untrained teacher, the run's "
                "folder holds the weights)"
            )
