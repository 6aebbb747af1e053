"""Save the current epoch's log and running sums in checkpoints, so that a run continues as if it had not stopped."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from kdlight.errors import UserError
from kdlight.internals import end_restart, is_inside_epoch, is_resumed_at_epoch_end, read_epoch_row
from kdlight.methods.base.learner import Learner
from kdlight.processes import gather_object
from kdlight.runs.changes import require_same_optimizers
from kdlight.runs.metrics_csv import MetricsCSV
from kdlight.runs.throughput import Throughput

SAVED = "epoch_so_far"


class ResumedEpoch(Callback):
    """Saves state that Lightning's checkpoints lack, and restores it when a run is continued.

    The state contains the row of ``metrics.csv`` for the checkpoint's epoch, because this row is added to the file only
    after the checkpoint is written. A checkpoint that is written inside an epoch also has, for each process, what the
    epoch has accumulated so far: the sums of the loss and its terms, the number of seconds and the number of images.

    Args:
        metrics: The run's log; a continued run adds to it from the checkpoint's epoch on.
        throughput: Counts the seconds and images of the epoch; a continued run adds to these numbers.
    """

    def __init__(self, metrics: MetricsCSV, throughput: Throughput) -> None:
        self.metrics = metrics
        self.throughput = throughput
        self._resumed: dict[str, Any] | None = None
        self._optimizers: list[dict[str, Any]] | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the row of the epoch and, if the epoch has not ended, the sums of each process."""
        assert isinstance(pl_module, Learner)
        row = dict(self.metrics.rows.get(trainer.current_epoch, {}))
        processes = []
        if is_inside_epoch(trainer):
            processes = gather_object({**self.throughput.count_so_far(), "means": pl_module.epoch_means.state_dict()})
        elif trainer.training:
            row |= read_epoch_row(trainer)
        batches = trainer.num_training_batches
        checkpoint[SAVED] = {"row": row, "processes": processes, "batches": batches}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore the log up to the checkpoint's epoch.

        Raises:
            UserError: If the checkpoint is not from a run of kdlight, or was written inside an epoch by another number
                of processes.
        """
        if trainer.state.fn != "fit":
            return
        if SAVED not in checkpoint:
            raise UserError(
                f"the checkpoint has no '{SAVED}': expected a checkpoint that this version of `kdlight fit` wrote; "
                "begin a new run with its weights instead: --model.student_weights PATH"
            )
        self._resumed = checkpoint[SAVED]
        self._optimizers = checkpoint.get("optimizer_states", [])
        self.metrics.resume(checkpoint["epoch"], self._resumed["row"])
        processes = len(self._resumed["processes"])
        if processes not in (0, trainer.world_size):
            raise UserError(
                f"the checkpoint was written inside epoch {checkpoint['epoch']} by {processes} processes: expected the "
                f"same number, got {trainer.world_size}; go on with --trainer.devices {processes}, or from another "
                "checkpoint of the run (--ckpt_path best)"
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the optimizers with those of the checkpoint, before anything is written.

        Raises:
            UserError: If the optimizers differ.
        """
        if self._optimizers is not None:
            require_same_optimizers(self._optimizers, trainer.optimizers)
            self._optimizers = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the sums of the epoch if the checkpoint was written inside an epoch.

        Raises:
            UserError: If the epoch now has another number of steps.
        """
        resumed, self._resumed = self._resumed, None
        if resumed is None:
            return
        if is_resumed_at_epoch_end(trainer):
            _step_plateaus(trainer, resumed["row"])
        if not resumed["processes"]:
            return
        if resumed["batches"] != trainer.num_training_batches:
            raise UserError(
                f"the checkpoint was written inside epoch {trainer.current_epoch}, which had {resumed['batches']} "
                f"steps, but an epoch now has {trainer.num_training_batches} steps: go on with the batch size and the "
                "data of that run"
            )
        assert isinstance(pl_module, Learner)
        own = resumed["processes"][trainer.global_rank]
        self.throughput.resume(own)
        pl_module.epoch_means.load_state_dict(own["means"], pl_module.device)
        end_restart(trainer)


def _step_plateaus(trainer: Trainer, row: dict[str, float]) -> None:
    """Call `step` of each scheduler that follows a metric, as Lightning does at the end of an epoch.

    Lightning writes the epoch's checkpoint before this call, so a run resumed from that checkpoint must make the call.
    """
    for config in trainer.lr_scheduler_configs:
        if config.reduce_on_plateau and config.interval == "epoch":
            scheduler: Any = config.scheduler
            scheduler.step(row[str(config.monitor)])
