"""Send to Weights & Biases what Lightning's logger leaves out: see the list at `WandbRecord`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import Logger
from safetensors.torch import save

from kdlight.internals import finish_wandb_run, read_wandb_options, take_wandb_artifacts
from kdlight.methods.base.learner import Learner
from kdlight.models.weights import read_state_dict
from kdlight.processes import read_run_seed
from kdlight.runs.folder import RunFolder

if TYPE_CHECKING:  # matplotlib is slow to import
    from matplotlib.figure import Figure

BEST = {"val/accuracy": "max", "val/loss": "min", "train/loss": "min"}


@runtime_checkable
class PanelSource(Protocol):
    """A callback that chooses which of its logged values get a panel."""

    def list_panels(self, stages: int) -> dict[str, bool]:
        """Return whether the values logged under each key get a panel. A key may end in ``*``.

        Args:
            stages: The student's number of stages.
        """


@runtime_checkable
class PictureSource(Protocol):
    """A callback that draws pictures."""

    def draw_pictures(self, rows: Mapping[int, Mapping[str, float]]) -> "dict[str, Figure]":
        """Return pictures by name, drawn from the logged metrics of each epoch (counted from 0)."""


class WandbRecord(Callback):
    """Adds to a run of W&B what is needed to group, filter and compare runs.

    - Every metric is drawn over ``epoch``; the summary holds the best values of accuracy and loss.
    - The configuration gets the keys ``method``, ``pair`` (teacher → student), ``seed`` and ``grid`` (the name of the
      ``kdlight ablate`` grid that the run belongs to).
    - A callback that is a `PanelSource` decides which of its values get a panel. For `PIDMonitor`, these are the four
      atoms of the PID (partial information decomposition) of each stage and of the logits.
    - At the end, ``result.json`` is added to the summary, without entries that are or contain lists. The confusion
      matrix and the pictures of each `PictureSource` are added to the media. If the logger was given ``log_model``, the
      student's weights become an artifact.

    Args:
        folder: The folder of the run.
        logger: The logger. If no group was given to it, its group is set by `name_group`.
        config: The resolved configuration as YAML.
    """

    def __init__(self, folder: RunFolder, logger: WandbLogger, config: str) -> None:
        self.folder = folder
        self.logger = logger
        self.config = config
        self._pictures: list[PictureSource] = []
        self._sends_student = take_wandb_artifacts(logger)  # keeps the logger from sending whole checkpoints
        group = name_group(folder.path)
        for name, value in {"group": group, "job_type": "fit"}.items():
            read_wandb_options(logger).setdefault(name, value)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Define the metrics' axis and best values, and add method, pair, seed and grid to the configuration."""
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, Learner)
        run: Any = self.logger.experiment
        run.define_metric("epoch", hidden=True)
        run.define_metric("*", step_metric="epoch", step_sync=True)
        for name, goal in BEST.items():
            run.define_metric(name, step_metric="epoch", summary=f"last,{goal}")
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        self._pictures = [callback for callback in callbacks if isinstance(callback, PictureSource)]
        for source in callbacks:
            panels = source.list_panels(len(pl_module.student.stage_names)) if isinstance(source, PanelSource) else {}
            for key, shown in panels.items():
                run.define_metric(key, step_metric="epoch", hidden=not shown)
        run.config.update(self._find_flat_keys(pl_module), allow_val_change=True)

    def _find_flat_keys(self, method: Learner) -> dict[str, Any]:
        described = (yaml.safe_load(self.config).get("model") or {}).get("init_args") or {}
        # A network is described by a mapping. If its arguments are unknown, it is described by a text.
        networks = [described.get(role) for role in ("teacher", "student")]
        classes = [network["class_path"] for network in networks if isinstance(network, dict)]
        pair = " → ".join(path.rpartition(".")[2] for path in classes)
        grid = self.folder.path.parent.parent.name if _is_in_grid(self.folder.path) else None
        return {"method": type(method).__name__, "pair": pair, "seed": read_run_seed(), "grid": grid}

    def send(self, result: dict[str, Any]) -> None:
        """Send the result of the run.

        Args:
            result: The content of ``result.json``.
        """
        import matplotlib.pyplot  # noqa: F401  # W&B expects that pyplot is imported when it is given a figure
        import wandb

        from kdlight.runs.wandb_pictures import draw_confusion  # this imports matplotlib

        run: Any = self.logger.experiment
        rows = self.folder.read_metrics()
        validated = [row["val/accuracy"] for row in rows.values() if "val/accuracy" in row]
        if validated:
            run.summary["best_val_accuracy"] = max(validated)
        run.summary["result"] = _drop_lists(result)
        pictures = {name: figure for source in self._pictures for name, figure in source.draw_pictures(rows).items()}
        if "last" in result.get("confusion", {}):
            pictures["confusion"] = draw_confusion(result["confusion"]["last"], result["class_names"])
        run.log({f"pictures/{name}": wandb.Image(figure) for name, figure in pictures.items()})
        checkpoint = self.folder.locate_checkpoint("last")
        if self._sends_student and checkpoint.is_file():  # FSDP's checkpoints are folders
            named = {name: tensor.contiguous() for name, tensor in read_state_dict(checkpoint).items()}
            artifact = wandb.Artifact(f"student-{run.id}", type="model", metadata=result["test"]["last"])
            with artifact.new_file("student.safetensors", mode="wb") as stream:
                stream.write(save(named))
            run.log_artifact(artifact)


def finish_wandb(loggers: Iterable[Logger]) -> None:
    """End the W&B runs of the loggers. Otherwise the next fit of this process would log into the same W&B run."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            finish_wandb_run(logger)


def name_group(folder: Path) -> str:
    """Return the name of the group of runs that differ only in their seed.

    In a grid of ``kdlight ablate``, runs have folders such as ``seed=0``, and the two folders above give the name:
    ``runs/grid/method=rid/seed=0`` is in the group ``grid/method=rid``. Otherwise the name consists of the folder
    above and the run's folder, without the number at the end: ``runs/digits/kd-2`` is in the group ``digits/kd``.
    """
    if _is_in_grid(folder):
        return "/".join(folder.parts[-3:-1])
    name, dash, number = folder.name.rpartition("-")
    base = name if dash and number.isdigit() else folder.name
    return "/".join([*folder.parts[-2:-1], base])


def _is_in_grid(folder: Path) -> bool:
    return folder.name.startswith("seed=")


def _drop_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _drop_lists(each) for name, each in value.items() if not _has_lists(each)}
    return value


def _has_lists(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, dict) and any(_has_lists(each) for each in value.values()))
