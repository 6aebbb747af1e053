"""Pruning: LeCun, Denker, Solla, "Optimal Brain Damage", NIPS 1989."""

__all__ = ["OptimalBrainDamage"]

import math
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from kdlight.callbacks.pruning.second_derivatives import estimate_hessian_diagonal
from kdlight.data.base.trainer_data import require_image_data
from kdlight.errors import UserError
from kdlight.methods.base.learner import Learner
from kdlight.ranges import Fraction, OpenFraction, PositiveInt, RangeCheck

ACCURACY = "val/accuracy"

NEED = "OptimalBrainDamage measures the loss on training images"


class OptimalBrainDamage(RangeCheck, Callback):
    """Repeatedly deletes the student's weights of least saliency, with training in between.

    As in the paper, the student is first trained to a reasonable solution, up to `first_epoch`. Then the diagonal h of
    the loss's Hessian is computed by second-order back-propagation, the weights theta of lowest saliency
    ``1/2 h theta^2`` are deleted, and the student is trained further. This repeats until the given `sparsity` is
    reached or the accuracy has fallen too far (`max_drop`). The loss is the cross-entropy on training images without
    augmentation, whatever loss the student is trained with. At a minimum, where the gradient is 0, the saliency of a
    weight is the second-order estimate of how much the loss increases if this weight alone is deleted. Elsewhere the
    saliency may be negative.

    h is an approximation (`estimate_hessian_diagonal`). Batch norms are taken as fixed linear maps with their running
    statistics. If a value enters two paths, such as a block and its shortcut, the second derivatives along the two
    paths are added, and the mixed derivative of the two paths is left out.

    Only weight matrices and convolution kernels are pruned; biases and the parameters of norms are kept. The weights of
    all layers are ranked together. A deleted weight is set back to 0 after every step, so it is 0 in every checkpoint
    and export. The fraction of the prunable weights that has been deleted is logged as ``sparsity``.

    ``best.ckpt`` is the best of the epochs after deleting has stopped, because the student is not fully pruned before.

    Args:
        first_epoch: The epoch at whose start weights are deleted for the first time; counted from 0, at least 1.
        sparsity: Stop deleting when this fraction of the weights has been deleted.
        every_n_epochs: Number of epochs of training between two deletions.
        fraction: Fraction of the remaining weights to delete each time.
        max_drop: Stop deleting when the validation accuracy has fallen by more than this since the last epoch before
            the first deletion; 0.01 is one percentage point. The weights deleted so far stay deleted. null: do not stop
            for this reason.
        samples: Number of training images from which the derivatives are computed; null: all.

    Raises:
        UserError: If a number is out of range.
    """

    def __init__(
        self,
        *,
        first_epoch: PositiveInt,
        sparsity: OpenFraction,
        every_n_epochs: PositiveInt = 1,
        fraction: OpenFraction = 0.1,
        max_drop: Fraction | None = None,
        samples: PositiveInt | None = None,
    ) -> None:
        self.first_epoch, self.every_n_epochs = first_epoch, every_n_epochs
        self.sparsity, self.fraction = sparsity, fraction
        self.max_drop = max_drop
        self.samples = samples
        self.kept: dict[str, Tensor] = {}
        self.accuracy: float | None = None
        self.reference: float | None = None
        self.finished = False

    def state_dict(self) -> dict[str, Any]:
        """Return the masks, which are true at the kept weights, and the state of the stopping rule."""
        kept = {name: mask.cpu() for name, mask in self.kept.items()}
        return {"kept": kept, "accuracy": self.accuracy, "reference": self.reference, "finished": self.finished}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the masks and the state of the stopping rule."""
        self.kept = state_dict["kept"]
        self.accuracy, self.reference = state_dict["accuracy"], state_dict["reference"]
        self.finished = state_dict["finished"]

    def selectable(self, trainer: Trainer) -> bool:
        """Return whether this epoch may become the run's best one: only after deleting has stopped."""
        return self.finished

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the data module.

        Raises:
            UserError: If the data module is not one of kdlight's, or `max_drop` is given without a validation split.
        """
        data = require_image_data(trainer, NEED)
        if self.max_drop is not None and data.val_size == 0:
            raise UserError("OptimalBrainDamage: max_drop needs a validation split, got val_size 0; set data.val_size")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the masks that were restored from a checkpoint to the student's device."""
        self.kept = {name: mask.to(pl_module.device) for name, mask in self.kept.items()}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Delete weights if a deletion is due. The epoch then trains the remaining weights."""
        if not self._is_due(trainer.current_epoch):
            return
        if self._has_fallen():
            self.finished = True
        else:
            # The first process computes the masks for all processes, so that all have the same masks.
            kept = self._delete(trainer, pl_module) if trainer.is_global_zero else None
            kept = trainer.strategy.broadcast(kept)
            assert kept is not None
            self.kept = {name: mask.to(pl_module.device) for name, mask in kept.items()}
            self._hold(pl_module)
            self.finished = self._count_deleted() >= round(self.sparsity * self._count())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Set deleted weights back to 0, because the optimizer's step has changed them."""
        self._hold(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the sparsity."""
        pl_module.log("sparsity", self._count_deleted() / max(1, self._count()))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the accuracy. `max_drop` is measured from the last accuracy before the first deletion."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking and ACCURACY in trainer.callback_metrics:
            self.accuracy = float(trainer.callback_metrics[ACCURACY])
            if not self.kept:
                self.reference = self.accuracy

    def _is_due(self, epoch: int) -> bool:
        return not self.finished and epoch >= self.first_epoch and (epoch - self.first_epoch) % self.every_n_epochs == 0

    def _has_fallen(self) -> bool:
        if not self.kept or self.max_drop is None or self.accuracy is None or self.reference is None:
            return False
        return self.accuracy < self.reference - self.max_drop

    def _delete(self, trainer: Trainer, learner: LightningModule) -> dict[str, Tensor]:
        """Choose the weights to delete. Return masks that are false at these weights and at those deleted before."""
        assert isinstance(learner, Learner)
        data = require_image_data(trainer, NEED)
        batches = [
            (batch.images.to(learner.device), batch.target.to(learner.device))
            for batch in data.choose_probe_batches("train", self.samples)
        ]
        weights = {name: weight for name, weight in learner.student.named_parameters() if weight.ndim > 1}
        derivatives = estimate_hessian_diagonal(learner.student, batches)
        saliencies = {name: 0.5 * derivatives[name] * weight.detach() ** 2 for name, weight in weights.items()}
        for name, mask in self.kept.items():
            saliencies[name][~mask] = -math.inf  # deleted weights get the lowest rank, so that they stay deleted
        count, deleted = sum(weight.numel() for weight in weights.values()), self._count_deleted()
        goal = min(round(self.sparsity * count), deleted + math.ceil(self.fraction * (count - deleted)))
        return mask_lowest(saliencies, goal)

    def _hold(self, learner: LightningModule) -> None:
        """Set the deleted weights of the student to 0."""
        assert isinstance(learner, Learner)
        with torch.no_grad():
            for name, mask in self.kept.items():
                learner.student.get_parameter(name).mul_(mask)

    def _count_deleted(self) -> int:
        return sum(int((~mask).sum()) for mask in self.kept.values())

    def _count(self) -> int:
        return sum(mask.numel() for mask in self.kept.values())


def mask_lowest(saliencies: dict[str, Tensor], number: int) -> dict[str, Tensor]:
    """Return a boolean mask for each tensor, false at the lowest values of all tensors together.

    Args:
        saliencies: Tensors of any shapes by name.
        number: How many values get false, in all tensors together.
    """
    flat = torch.cat([saliency.flatten() for saliency in saliencies.values()])
    kept = torch.ones_like(flat, dtype=torch.bool)
    kept[flat.topk(number, largest=False).indices] = False
    parts = kept.split([saliency.numel() for saliency in saliencies.values()])
    return {
        name: part.view_as(saliency).cpu() for (name, saliency), part in zip(saliencies.items(), parts, strict=True)
    }
