"""What every experiment shares: a student, its optimizer, and the metrics of validation and test."""

import inspect
import os
from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.distributed
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics.classification import MulticlassAccuracy

from kdlight.data.batch import Batch
from kdlight.models.classifier import Classifier
from kdlight.models.weights import load_weights

UNLABELLED = -1


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over the labelled samples of a batch, in nats; 0 where none is labelled.

    Args:
        logits: (batch, classes).
        target: (batch,), -1 for an unlabelled sample.
    """
    total = F.cross_entropy(logits.float(), target, ignore_index=UNLABELLED, reduction="sum")
    return total / (target != UNLABELLED).sum().clamp(min=1)


class Learner(LightningModule, ABC):
    """A student that learns: optimizer, schedule, phases, and the metrics of validation and test.

    Args:
        student: The network that is trained.
        student_weights: Path of weights that the student starts from; none: it starts as it was initialised.
        optimizer: Makes the optimizer from the parameters. The default is the recipe of the field's CIFAR-100 table.
        scheduler: Makes the learning rate schedule from the optimizer; stepped once an epoch.
    """

    def __init__(
        self,
        student: Classifier,
        *,
        student_weights: str | None = None,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.SGD(
            parameters, lr=0.05, momentum=0.9, weight_decay=5e-4
        ),
        scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        if student_weights is not None:
            load_weights(student, student_weights)
        self.student = student
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.val_accuracy = self._accuracy()
        self.test_accuracy = self._accuracy()

    def _accuracy(self) -> MulticlassAccuracy:
        return MulticlassAccuracy(
            self.student.num_classes, average="micro", ignore_index=UNLABELLED, validate_args=False
        )

    def forward(self, images: Tensor) -> Tensor:
        """The student's logits (batch, classes)."""
        logits: Tensor = self.student(images)
        return logits

    @abstractmethod
    def batch_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted terms of the training loss by name; their sum is minimised."""

    def learners(self, epoch: int) -> tuple[torch.nn.Module, ...] | None:
        """The children that learn in this epoch; the others keep weights and buffers. None: all of them, always."""
        return None

    def setup(self, stage: str) -> None:
        """Let DDP expect parameters without a gradient where the method has phases.

        Raises:
            ValueError: If the run ends before the student learns.
        """
        epochs = self.trainer.max_epochs or -1
        phases = [self.learners(epoch) for epoch in range(epochs)] if stage == "fit" else []
        if phases and all(phase is not None and self.student not in phase for phase in phases):
            arguments = [name for name in inspect.signature(type(self).__init__).parameters if name.endswith("_epochs")]
            raise ValueError(
                f"{type(self).__name__} trains other modules first: the student learns in none of the {epochs} epochs; "
                f"raise trainer.max_epochs, or shorten {' and '.join(f'model.{name}' for name in arguments)}"
            )
        # The option has no public setter, and asking every user for `ddp_find_unused_parameters_true` would be worse.
        options = getattr(self.trainer.strategy, "_ddp_kwargs", None)
        if options is not None and type(self).learners is not Learner.learners:
            options["find_unused_parameters"] = True

    def on_train_epoch_start(self) -> None:
        """Start the phase of this epoch.

        After DDP has wrapped the module: a parameter that is frozen at that moment would never be synchronised.
        """
        # The randomness of an epoch depends on the seed, the rank and the epoch alone, so a resumed run repeats it.
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) + self.global_rank
        torch.manual_seed(seed * 100_003 + self.current_epoch)
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)
        learning = self.learners(self.current_epoch)
        if learning is not None:
            for child in self.children():
                child.train(child in learning).requires_grad_(child in learning)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Sum the terms; each is logged as ``train/<term>``, so that what is plotted is what is optimised."""
        terms = self.batch_terms(batch)
        loss = torch.stack(tuple(terms.values())).sum()
        logged = {f"train/{name}": term.detach() for name, term in {**terms, "loss": loss}.items()}
        self.log_dict(logged, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch.images))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """After the last step give every rank the buffers of the first: what is validated is what a checkpoint holds.

        Not later: at the end of an epoch the first rank's progress bar reduces metrics on its own, and another
        collective operation beside that would never end.
        """
        if self.trainer.is_last_batch and torch.distributed.is_available() and torch.distributed.is_initialized():
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, 0)

    def on_train_end(self) -> None:
        """Leave no phase behind: every parameter requires a gradient again."""
        self.requires_grad_(True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log accuracy and cross-entropy of the student on the validation split."""
        self._evaluate(batch, "val", self.val_accuracy)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log accuracy and cross-entropy of the student on the test set."""
        self._evaluate(batch, "test", self.test_accuracy)

    def _evaluate(self, batch: Batch, split: str, accuracy: MulticlassAccuracy) -> None:
        logits = self(batch.images)
        accuracy.update(logits, batch.target)
        self.log(f"{split}/accuracy", accuracy, on_step=False, on_epoch=True, prog_bar=True)
        loss = cross_entropy(logits, batch.target)
        self.log(f"{split}/loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch.images))

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Index, target, and the student's class probabilities (batch, classes)."""
        return {"index": batch.index, "target": batch.target, "probabilities": self(batch.images).float().softmax(1)}

    def rates(self) -> dict[str, float]:
        """Learning rates of children by name, as multiples of the optimizer's; 1 for those not named."""
        return {}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimizer over everything that ever learns; a phase leaves out what has no gradient."""
        rates = self.rates()
        groups = [
            {"params": list(child.parameters()), "rate": rates.get(name, 1.0)} for name, child in self.named_children()
        ]
        optimizer = self.make_optimizer([group for group in groups if group["params"]])
        for group in optimizer.param_groups:
            group["lr"] *= group.pop("rate")
        if self.make_scheduler is None:
            return optimizer
        scheduler: Any = self.make_scheduler(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            monitor = getattr(scheduler, "monitor", "val/loss")
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": monitor}}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}
