"""Train a method on data, test the weights of the last epoch and of the best validated one, and write the result."""

from typing import Any

from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelSummary, ProgressBar, RichModelSummary
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import Logger

from kdlight.callbacks.classification_measures import ClassificationMeasures
from kdlight.callbacks.run_progress import RunProgress
from kdlight.errors import UserError
from kdlight.internals import read_wandb_options
from kdlight.methods.base.learner import Learner
from kdlight.runs.checkpoints import AtomicCheckpointIO
from kdlight.runs.folder import RunFolder
from kdlight.runs.metrics_csv import MetricsCSV
from kdlight.runs.nonfinite import NonFiniteStop
from kdlight.runs.result import Result
from kdlight.runs.resumed_epoch import ResumedEpoch
from kdlight.runs.run_files import RunFiles
from kdlight.runs.selection import RunCheckpoint
from kdlight.runs.signals import SignalHandler
from kdlight.runs.throughput import Throughput
from kdlight.runs.trainer import require_steps, require_trained
from kdlight.runs.wandb_record import WandbRecord, finish_wandb

SELECTED_BY = "val/accuracy"
TESTED = {"best": "test_selected/", "last": "test_last/"}  # prefixes of logged test results, by checkpoint


def make_run_callbacks(folder: RunFolder, metrics: MetricsCSV, config: str, *, validated: bool) -> list[Callback]:
    """Return the callbacks that every run has, such as those that save the checkpoints of the last and the best epoch.

    Without validation there is no ``best.ckpt``, because nothing tells which epoch is best.
    """
    last = RunCheckpoint(folder, "last", save_on_train_epoch_end=True)
    best = RunCheckpoint(folder, "best", monitor=SELECTED_BY, mode="max")
    throughput = Throughput()
    record = [throughput, ResumedEpoch(metrics, throughput), RunFiles(folder, config)]
    return [*record, NonFiniteStop(folder), SignalHandler(folder), *([best] if validated else []), last]


def add_run_options(
    options: dict[str, Any], folder: RunFolder, data: LightningDataModule, *, config: str | None
) -> dict[str, Any]:
    """Return the configured loggers, callbacks and plugins, together with those that every run has.

    Args:
        options: The configured arguments of the trainer.
        folder: The run's folder.
        data: The run's data; without a validation split no epoch is selected as the best.
        config: The resolved configuration, which is saved with the run. None if nothing is trained; then kdlight
            writes neither ``metrics.csv`` nor a checkpoint.

    Returns:
        The trainer's arguments logger, callbacks, plugins and enable_checkpointing.

    Raises:
        UserError: If one of the loggers is not a `Logger`, or one of the callbacks not a `Callback`.
    """
    loggers = _list_objects("logger", options.get("logger"), Logger)
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            folder.path.mkdir(parents=True, exist_ok=True)  # W&B starts git in this folder, so it must exist
            read_wandb_options(logger).pop("anonymous", None)  # Lightning 2.6 passes on a setting that W&B warns about
    callbacks = [*_list_objects("callbacks", options.get("callbacks"), Callback), ClassificationMeasures()]
    if options.get("enable_progress_bar") is not False:
        if not any(isinstance(callback, ProgressBar) for callback in callbacks):
            callbacks.append(RunProgress())
        if options.get("enable_model_summary") is not False and not any(isinstance(c, ModelSummary) for c in callbacks):
            callbacks.append(RichModelSummary())
    if config is not None and not options.get("fast_dev_run"):
        callbacks += [WandbRecord(folder, logger, config) for logger in loggers if isinstance(logger, WandbLogger)]
        metrics = MetricsCSV(folder)
        loggers.append(metrics)
        validated = getattr(data, "val_size", 1) != 0 and options.get("limit_val_batches") != 0
        callbacks += make_run_callbacks(folder, metrics, config, validated=validated)
    plugins = options.get("plugins") or []
    plugins = list(plugins) if isinstance(plugins, list | tuple) else [plugins]
    if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        plugins.append(AtomicCheckpointIO())
    given = {"logger": loggers, "callbacks": callbacks, "plugins": plugins}
    return {**given, "enable_checkpointing": config is not None}


def _list_objects(name: str, value: Any, kind: type) -> list[Any]:
    """Return the objects in an argument of the Trainer as a list, which is empty if the argument is a bool or None.

    Raises:
        UserError: If one of them is no object of the class `kind`.
    """
    if value is None or isinstance(value, bool):
        return []
    objects = list(value) if isinstance(value, list | tuple) else [value]
    for item in objects:
        if not isinstance(item, kind):
            is_class = isinstance(item, type) and issubclass(item, kind)
            hint = f"; write {item.__name__}(…) to make one" if is_class else ""
            raise UserError(f"trainer.{name}: expected objects of the class {kind.__name__}, got {item!r}{hint}")
    return objects


def fit_and_test(
    trainer: Trainer,
    model: Learner,
    data: LightningDataModule,
    folder: RunFolder,
    *,
    ckpt_path: str | None = None,
    command: str = "",
) -> None:
    """Train, then test the weights of the best validated epoch and of the last one, and write ``result.json``.

    Args:
        trainer: The trainer, with the callbacks of `make_run_callbacks`.
        model: The method; at the end it has the weights of the last epoch.
        data: The data module.
        folder: The run's folder.
        ckpt_path: A checkpoint of this run to continue from.
        command: The command that the user called, for ``result.json``.

    Raises:
        UserError: If the run would end without a training step or without a test.
    """
    if getattr(trainer, "fast_dev_run", False):
        trainer.fit(model, datamodule=data)
        return
    try:
        require_steps(trainer)
        _fit_and_test(trainer, model, data, folder, ckpt_path, command)
    finally:
        finish_wandb(trainer.loggers)


def _fit_and_test(
    trainer: Trainer, model: Learner, data: LightningDataModule, folder: RunFolder, ckpt_path: str | None, command: str
) -> None:
    result = Result.begin(command)
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    require_trained(trainer)
    folder = trainer.strategy.broadcast(folder)  # only the first process knows the run's folder
    for name in ("best", "last"):
        if folder.locate_checkpoint(name).is_file():
            path = str(folder.locate_checkpoint(name))
            loggers, trainer.loggers = trainer.loggers, []  # else both tests would be logged under the same names
            try:
                (measured,) = trainer.test(model, datamodule=data, ckpt_path=path, verbose=False, weights_only=True)
            finally:
                trainer.loggers = loggers
            result.record_test(name, measured)
            for logger in loggers:
                renamed = {metric.replace("test/", TESTED[name], 1): value for metric, value in measured.items()}
                logger.log_metrics(renamed, step=trainer.global_step)
    if trainer.is_global_zero:
        result.write(trainer, model, folder)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WandbRecord):
                callback.send(folder.read_result())
