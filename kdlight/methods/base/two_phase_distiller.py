"""The base of AB (activation boundaries) and FSP (flow of the solution procedure).

These methods initialise the student: it imitates the teacher's features before it learns the labels.
"""

__all__ = ["TwoPhaseDistiller"]

from abc import abstractmethod
from typing import Any

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.errors import UserError
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeInt
from kdlight.unpack import Unpack


class TwoPhaseDistillerArguments(FeatureDistillerArguments, total=False):
    """The arguments that methods pass on to `TwoPhaseDistiller`, which explains them and has their defaults."""

    init_epochs: NonNegativeInt


class TwoPhaseDistiller(FeatureDistiller):
    """A student that learns the teacher's features first and the labels afterwards.

    For `init_epochs` epochs, only the terms of the features are minimised, so the student's head gets no gradient.
    After that, the cross-entropy is minimised (and Hinton's term, if `kd_weight` is not 0).

    RepDistiller, the code of the CRD paper, runs the first phase at the full learning rate, and its second phase has
    240 epochs of its own. To do the same, add `init_epochs` to the trainer's epochs and to the schedule's milestones.
    RepDistiller also begins the second phase with a new optimizer; here the optimizer keeps its momentum.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        init_epochs: Number of epochs of the first phase.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        init_epochs: NonNegativeInt = 30,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.init_epochs = init_epochs

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimizer and the schedule as every learner does, but refuse a fused optimizer.

        Raises:
            UserError: If the optimizer is fused. A fused optimizer of PyTorch cannot train parameters that get their
                first gradient after the first step, as the parameters of the student's head do here.
        """
        made = super().configure_optimizers()
        optimizer: Any = made["optimizer"] if isinstance(made, dict) else made
        if optimizer.defaults.get("fused"):
            raise UserError(
                f"the student's head begins to learn in {type(self).__name__}'s second phase, which a fused optimizer "
                "does not allow: expected fused: false, got true; correct model.optimizer.init_args.fused"
            )
        return made

    @abstractmethod
    def init_terms(self, student: Activations, teacher: Activations) -> dict[str, Tensor]:
        """Return the weighted terms of the first phase by name."""

    def get_init_children(self) -> tuple[nn.Module, ...]:
        """Return the child modules that learn only in the first phase. The student learns in both phases."""
        return ()

    def trainable_children(self, epoch: int) -> tuple[nn.Module, ...]:
        """Return the student, and in the first phase also the result of `get_init_children`."""
        return (self.student, *self.get_init_children()) if epoch < self.init_epochs else (self.student,)

    def batch_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the terms. The teacher runs only if the current phase compares the student with the teacher."""
        if self.current_epoch < self.init_epochs or self.kd_weight:
            return super().batch_terms(batch)
        return {"cross_entropy": self.ce_weight * cross_entropy(self(batch.images), batch.target)}

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return `init_terms` in the first phase and `task_terms` in the second."""
        if self.current_epoch < self.init_epochs:
            return self.init_terms(student, teacher)
        return self.task_terms(student, teacher, batch)
