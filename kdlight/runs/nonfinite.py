"""Stop a run whose loss is NaN or infinite, and save the weights and the batch of that step."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.errors import MissingFileError, UserError
from kdlight.files import replace_file
from kdlight.internals import set_epoch
from kdlight.methods.base.learner import Learner
from kdlight.models.weights import check_records
from kdlight.runs.folder import RunFolder

LARGEST = torch.finfo(torch.float32).max
STEPS_BEHIND = 4  # how many steps may be unchecked; if there are more, the check waits for the device


class NonFiniteLossError(UserError):
    """A term of the loss, or their sum, was NaN or infinite."""


class CopiedTerms(NamedTuple):
    """The terms of the loss in one step, while they are copied from the device."""

    epoch: int
    step: int
    seed: int
    names: tuple[str, ...]
    values: Tensor
    batch: Batch
    arrived: torch.cuda.Event | None


class UncheckedTerms:
    """The terms of the steps that have not been checked yet."""

    def __init__(self) -> None:
        self._steps: deque[CopiedTerms] = deque()

    def add(self, step: CopiedTerms) -> None:
        """Add the terms of a step."""
        self._steps.append(step)

    def take(self, *, behind: int) -> Iterator[CopiedTerms]:
        """Remove and yield the steps whose terms have arrived, the oldest first.

        Args:
            behind: How many steps may stay. If there are more, wait until the terms of the oldest have arrived.
        """
        while self._steps:
            oldest = self._steps[0]
            if oldest.arrived is not None:
                if len(self._steps) <= behind and not oldest.arrived.query():
                    return
                oldest.arrived.synchronize()
            yield self._steps.popleft()


def has_finite_sum(terms: Tensor) -> bool:
    """Return whether the sum of the terms is finite in float32. If it is, every term is finite, too."""
    return bool(abs(sum(terms.tolist())) <= LARGEST)  # comparisons with NaN are False


class NonFiniteStop(Callback):
    """Checks the terms of the loss in every step.

    On a CPU the terms are checked at once, before the backward pass, so the saved weights are those that gave the loss.
    On CUDA the terms are copied asynchronously and checked at most `STEPS_BEHIND` steps later, so that steps seldom
    wait for the device. Meanwhile the optimizer may have changed the weights, even to NaN. The changed weights are
    saved.

    ``nonfinite.pt`` in the run's folder (``nonfinite-1.pt`` from process 1) holds epoch, step, terms by name, the batch
    as the model saw it, the seed of the step's random numbers, and the method's ``state_dict`` (empty under FSDP, where
    no process has all weights). It can be read with ``weights_only=True``. Except under FSDP, `replay` computes the
    terms again.

    Args:
        folder: The folder of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._batch: Batch | None = None
        self._unchecked = UncheckedTerms()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Receive the run's folder from the first process."""
        self.folder = trainer.strategy.broadcast(self.folder)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Keep the batch until the terms of its step have been checked."""
        self._batch = batch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Check the terms of this step. On CUDA, start to copy them, and check the terms whose copies have arrived.

        Raises:
            NonFiniteLossError: If a term or the sum of all terms is NaN or infinite.
        """
        assert isinstance(pl_module, Learner)
        assert self._batch is not None
        terms = pl_module.terms
        values, arrived = torch.stack(tuple(terms.values())), None
        if values.is_cuda:
            values = torch.empty_like(values, device="cpu", pin_memory=True).copy_(values, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
        step = trainer.fit_loop.epoch_loop.batch_idx
        seed = torch.initial_seed()
        self._unchecked.add(CopiedTerms(trainer.current_epoch, step, seed, tuple(terms), values, self._batch, arrived))
        self._check_terms(trainer, pl_module, behind=STEPS_BEHIND)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the steps that have not been checked yet."""
        self._check_terms(trainer, pl_module, behind=0)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Check the steps that have not been checked yet, so that no checkpoint is written after a NaN."""
        self._check_terms(trainer, pl_module, behind=0)

    def _check_terms(self, trainer: Trainer, pl_module: LightningModule, *, behind: int) -> None:
        for step in self._unchecked.take(behind=behind):
            if not has_finite_sum(step.values):
                self._stop(step, trainer, pl_module)

    def _stop(self, check: CopiedTerms, trainer: Trainer, pl_module: LightningModule) -> None:
        terms = dict(zip(check.names, check.values.tolist(), strict=True))
        path = self.folder.locate_nonfinite(trainer.global_rank)
        sharded = isinstance(trainer.strategy, FSDPStrategy)  # collecting the weights would need all processes
        content = {
            "epoch": check.epoch,
            "step": check.step,
            "seed": check.seed,
            "terms": terms,
            "batch": check.batch._asdict(),
            "state_dict": {} if sharded else pl_module.state_dict(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as draft, draft.open("wb") as stream:
            torch.save(content, stream)
        listed = ", ".join(f"{name} = {value:.6g}" for name, value in terms.items())
        raise NonFiniteLossError(
            f"the loss is not finite in step {check.step} of epoch {check.epoch}: {listed}; the step is saved in "
            f"{path}; lower the learning rate or the term's weight, or clip gradients (--trainer.gradient_clip_val 1)"
        )


def replay(path: str | Path, method: Learner) -> dict[str, Tensor]:
    """Recompute the terms of the step that stopped a run, with their autograd graph.

    Build the method as in the run's ``config.yaml``::

        method = KD(student, teacher, teacher_weights="runs/digits/teacher/checkpoints/best.ckpt")
        terms = replay("runs/digits/kd/nonfinite.pt", method)

    The terms equal those of the run if the file holds the weights from before the step (see `NonFiniteStop`). The terms
    of `CRD` differ, because the memory in the file already contains the batch's embeddings.

    Args:
        path: The path of the file ``nonfinite.pt``.
        method: The run's method with its teacher. The file's weights are loaded into the method. The method's modules
            that learn in the file's epoch are set to training mode, all others to evaluation mode.

    Returns:
        The weighted terms by name.

    Raises:
        MissingFileError: If there is no such file.
        UserError: If the file's bytes do not match its checksums.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"no file {path}: expected the nonfinite.pt of a run whose loss was NaN or infinite")
    check_records(path)
    content = torch.load(path, map_location=method.device, weights_only=True)
    loop = Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    set_epoch(loop, content["epoch"])
    method.trainer = loop
    method.load_state_dict(content["state_dict"])
    learning = method.trainable_children(content["epoch"])
    for child in method.children():
        child.train(learning is None or child in learning)
    torch.manual_seed(content["seed"])
    return method.batch_terms(method.to_network_format(Batch(**content["batch"])))
