"""The base of all methods: a student, its optimizer, and the metrics of validation and test."""

__all__ = ["Learner"]

from abc import ABC, abstractmethod
from typing import Any, TypedDict

import torch
import torch.distributed
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics.aggregation import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from kdlight.arguments import ArgumentRecord
from kdlight.data.base.batch import Batch
from kdlight.internals import find_unused_parameters, is_resumed_mid_epoch, validates_after
from kdlight.methods.base.epoch_means import EpochMeans
from kdlight.methods.base.labels import UNLABELLED, replace_empty_batch
from kdlight.methods.base.learning_checks import SUM, require_learning, require_matching_data, require_terms
from kdlight.methods.base.optimization import configure_optimization, require_rates
from kdlight.models.classifier import Classifier, require_classifier
from kdlight.models.weights import load_weights
from kdlight.processes import is_distributed, read_run_seed
from kdlight.ranges import RangeCheck
from kdlight.streams import Stream, derive_seed


class LearnerArguments(TypedDict, total=False):
    """The arguments that methods pass on to `Learner`, which explains them and has their defaults."""

    student_weights: str | None
    optimizer: OptimizerCallable
    scheduler: LRSchedulerCallable | None
    channels_last: bool
    compile: bool


class Learner(ArgumentRecord, RangeCheck, LightningModule, ABC):
    """A LightningModule that trains a student and logs its accuracy and loss in validation and test.

    Args:
        student: The network that is trained.
        student_weights: Path of weights that the student starts from; null: it starts as it was initialised.
        optimizer: Makes the optimizer from the parameters. The default is the SGD with which RepDistiller, the code of
            the CRD paper, trains on CIFAR-100.
        scheduler: Makes the learning rate schedule from the optimizer. The schedule takes one step per epoch.
        channels_last: Keep the networks' weights, and so their feature maps, in the memory layout in which convolutions
            are fastest on CPUs and on tensor cores. Results change only in their last digits.
        compile: Compile the networks with `torch.compile`, on CUDA with CUDA graphs. The first steps then take minutes.

    Attributes:
        terms: The weighted terms of the latest training step by name, detached from the graph.
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
        channels_last: bool = True,
        compile: bool = False,
    ) -> None:
        super().__init__()
        require_classifier("student", student)
        if student_weights is not None:
            load_weights(student, student_weights)
        self.student = student
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.channels_last = channels_last
        self.compiles = compile  # not `compile`, which is a method of modules
        self.terms: dict[str, Tensor] = {}
        self.epoch_means = EpochMeans()
        if not compile:  # Lightning's summary counts the operations on this input
            self.example_input_array = torch.zeros(1, *student.image_shape)
        self.val_accuracy, self.test_accuracy = self._make_accuracy(), self._make_accuracy()
        # `MeanMetric`, because Lightning's own averaging over processes divides by the mean number of samples per
        # process, rounded down to an integer. This is wrong if processes have different numbers of samples. With the
        # NaN strategy "disable", the loss of a diverged student, which is NaN, is also logged as NaN.
        self.val_loss, self.test_loss = MeanMetric(nan_strategy="disable"), MeanMetric(nan_strategy="disable")

    def _make_accuracy(self) -> MulticlassAccuracy:
        return MulticlassAccuracy(
            self.student.num_classes, average="micro", ignore_index=UNLABELLED, validate_args=False
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the student's logits (batch, classes)."""
        logits: Tensor = self.student(images)
        return logits

    @abstractmethod
    def batch_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the training loss by name; their sum is minimised."""

    def trainable_children(self, epoch: int) -> tuple[torch.nn.Module, ...] | None:
        """Return the children that learn in an epoch; all others keep their weights and buffers. None: all learn."""
        return None

    def setup(self, stage: str) -> None:
        """Set the networks' memory layout, compile them, and tell DDP if parameters have no gradients in some epochs.

        Raises:
            UserError: If the run ends before the student learns, the loss has only weights of 0, or the data have more
                classes than the student.
        """
        require_matching_data(self)
        if stage == "fit":
            require_learning(self)
        if self.channels_last:
            self.to(memory_format=torch.channels_last)
        if self.compiles and stage == "fit":
            self.compile_networks("reduce-overhead" if self.trainer.strategy.root_device.type == "cuda" else "default")
        if type(self).trainable_children is not Learner.trainable_children:
            # Otherwise users would have to choose the strategy `ddp_find_unused_parameters_true`.
            find_unused_parameters(self.trainer.strategy)

    def compile_networks(self, mode: str) -> None:
        """Compile every network that a training step runs. A second call changes nothing."""
        if "activations" not in vars(self.student):
            vars(self.student)["activations"] = torch.compile(self.student.activations, mode=mode)

    def on_train_epoch_start(self) -> None:
        """Begin the phase of this epoch, in which only the children that `trainable_children` returns learn.

        Parameters are frozen only now, after DDP has wrapped the module: DDP would never synchronise a parameter that
        was frozen when DDP wrapped the module.
        """
        self.epoch_means.reset()
        self.begin_phase()

    def on_train_start(self) -> None:
        """Begin the phase if the run resumes inside an epoch: Lightning then does not call `on_train_epoch_start`."""
        if is_resumed_mid_epoch(self.trainer):
            self.begin_phase()

    def begin_phase(self) -> None:
        """Turn training mode and gradients on for the children that learn in this epoch, and off for the others."""
        require_rates(self.trainer.optimizers[0], f"in epoch {self.current_epoch}")
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)
        learning = self.trainable_children(self.current_epoch)
        if learning is not None:
            for child in self.children():
                child.train(child in learning).requires_grad_(child in learning)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed torch from the run's seed, rank, epoch and step, so that a resumed run draws the same random numbers."""
        drawn = derive_seed(Stream.STEP, read_run_seed(), self.global_rank, self.current_epoch, batch_idx)
        # Not `torch.manual_seed`, which looks for every kind of accelerator in every step.
        torch.default_generator.manual_seed(drawn)
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(drawn)
        if self.compiles:
            torch.compiler.cudagraph_mark_step_begin()

    def to_network_format(self, batch: Batch) -> Batch:
        """Convert a batch's images, once for student and teacher, to the dtype and memory layout of the networks."""
        layout = torch.channels_last if self.channels_last else torch.preserve_format
        return batch._replace(images=batch.images.to(self.dtype, memory_format=layout))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the sum of the weighted terms, and add each term to the means that are logged after the epoch."""
        batch = self.to_network_format(batch)
        terms = self.batch_terms(batch)
        require_terms(self, terms)
        stacked = torch.stack(tuple(terms.values()))
        loss = stacked.sum()
        self.terms = dict(zip(terms, stacked.detach().unbind(), strict=True))
        self.epoch_means.add({**self.terms, SUM: loss.detach()}, samples=len(batch.images))
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean of each weighted term as ``train/<term>``, and of their sum as ``train/loss``."""
        for name, mean in self.epoch_means.compute().items():
            self.log(f"train/{name}", mean, sync_dist=True, batch_size=self.epoch_means.samples)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Broadcast the first rank's buffers before a validation, so that all ranks validate the network that is saved.

        A validation hook of this class would be too late: the callbacks' hooks come first, and may use the buffers.
        `on_train_epoch_end` would be too late, too, because it comes after the validation. A broadcast there could also
        deadlock: the first rank's progress bar may begin to reduce metrics while the other ranks begin the broadcast,
        and each side would wait for the other.
        """
        validated = self.trainer.is_last_batch or validates_after(self.trainer, batch_idx)
        if validated and is_distributed():
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, 0)

    def on_train_end(self) -> None:
        """Let all parameters require gradients again, as before the first phase, and remove the compiled forward.

        A deepcopy of a student with a compiled forward would call code that is bound to the original's weights.
        """
        self.requires_grad_(True)
        vars(self.student).pop("activations", None)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log accuracy and cross-entropy of the student on the validation split."""
        self._evaluate(batch, "val", self.val_accuracy, self.val_loss)

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Log accuracy and cross-entropy of the student on the test set.

        Returns:
            The logits (batch, classes), for callbacks. An empty batch gives one row, see `replace_empty_batch`.
        """
        return self._evaluate(batch, "test", self.test_accuracy, self.test_loss)

    def _evaluate(self, batch: Batch, split: str, accuracy: MulticlassAccuracy, loss: MeanMetric) -> Tensor:
        batch = replace_empty_batch(batch)
        logits: Tensor = self(self.to_network_format(batch).images)
        accuracy.update(logits, batch.target)
        self.log(f"{split}/accuracy", accuracy, on_step=False, on_epoch=True, prog_bar=True)
        losses = F.cross_entropy(logits.float(), batch.target, ignore_index=UNLABELLED, reduction="none")
        loss.update(losses[batch.target != UNLABELLED])
        self.log(f"{split}/loss", loss, on_step=False, on_epoch=True)
        return logits

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return the images' indices and targets (batch,), and the student's class probabilities (batch, classes)."""
        logits = self(self.to_network_format(replace_empty_batch(batch)).images)[: len(batch.images)]
        probabilities = logits.float().softmax(1)
        return {"index": batch.index, "target": batch.target, "probabilities": probabilities}

    def get_rate_factors(self) -> dict[str, float]:
        """Return factors of children's learning rates, by the child's name. Children without an entry have factor 1."""
        return {}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make one optimizer for all children, and its schedule. The optimizer skips parameters without a gradient."""
        configured: OptimizerLRScheduler = configure_optimization(
            self.make_optimizer,
            self.make_scheduler,
            dict(self.named_children()),
            self.get_rate_factors(),
            channels_last=self.channels_last,
        )
        return configured
