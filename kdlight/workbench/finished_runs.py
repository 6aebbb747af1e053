"""Read runs from the disk: their measurements, and their networks and data, rebuilt from the run's configuration."""

import glob
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kdlight.arguments import has_unknown
from kdlight.cli.objects import build_object
from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import MissingFileError, UserError
from kdlight.models.classifier import Classifier
from kdlight.models.weights import load_weights
from kdlight.runs.folder import RunFolder, list_runs

if TYPE_CHECKING:
    import pandas as pd


class Run:
    """A run on the disk, named by its folder or by one of its checkpoints.

    Args:
        path: The run's folder; or a checkpoint in the folder, from which the student then gets its weights.
        weights: Which checkpoint to take if ``path`` is a folder: "last", the weights of the last epoch; or
            "best", the weights of the epoch with the best validation accuracy.

    Attributes:
        folder: The run's folder.
        files: The paths of the files in the folder.

    Raises:
        MissingFileError: If there is no such run.
    """

    def __init__(self, path: str | Path, weights: Literal["last", "best"] = "last") -> None:
        path = Path(path)
        self._weights = weights
        if not path.exists():
            raise MissingFileError(f"{path} does not exist; expected a run's folder, or a checkpoint in it")
        self.files = RunFolder(path if path.is_dir() else path.parent.parent)
        if not self.files.config.is_file():
            raise MissingFileError(
                f"{path}: expected a run's folder, or a checkpoint in it; {self.files.config} is missing"
            )
        self.folder = self.files.path
        self._checkpoint = None if path.is_dir() else path

    def __repr__(self) -> str:
        return f"Run({str(self._checkpoint or self.folder)!r})"

    @staticmethod
    def has_run(checkpoint: Path) -> bool:
        """Tell whether a file lies in the checkpoint folder of a run."""
        return RunFolder(checkpoint.parent.parent).config.is_file()

    @property
    def checkpoint(self) -> Path:
        """The checkpoint from which the student gets its weights.

        Raises:
            MissingFileError: If the run has no checkpoint yet, or the best weights are wanted and the run did not
                select weights by validation.
        """
        if self._checkpoint is not None:
            return self._checkpoint
        file = self.files.locate_checkpoint(self._weights)
        if file.is_file():
            return file
        if self.files.locate_checkpoint("last").is_file():
            raise MissingFileError(
                f"{file} does not exist: expected a run that selected weights by validation; take the last weights"
            )
        raise MissingFileError(f"{self.folder} has no checkpoint; continue the run with kdlight fit --ckpt_path auto")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration: the values of all options, given ones and defaults."""
        return self.files.read_config()

    @property
    def finished(self) -> bool:
        """Whether the run has ended and was tested."""
        return self.files.result.is_file()

    @property
    def result(self) -> dict[str, Any]:
        """The content of ``result.json``: test accuracy, seed, versions, time.

        Raises:
            MissingFileError: If the run has not ended.
        """
        return self.files.read_result()

    @property
    def metrics(self) -> "pd.DataFrame":
        """The logged metrics: a row per epoch, indexed by epoch, with the columns of ``metrics.csv``.

        Raises:
            MissingFileError: If no epoch has ended.
        """
        import pandas as pd

        if not self.files.metrics.is_file():
            raise MissingFileError(f"{self.files.metrics} does not exist: expected a run of one epoch or more")
        return pd.read_csv(self.files.metrics, index_col="epoch")

    def student(self, network: Classifier | None = None) -> Classifier:
        """Return the network that the run trained, on the CPU and in evaluation mode.

        Args:
            network: The network to load the weights into. It is needed if the run was made in Python from a network
                that the configuration cannot describe.

        Raises:
            UserError: If ``network`` is needed and not given.
        """
        described = (self.config["model"].get("init_args") or {}).get("student")
        return self._network("student", described, self.checkpoint, network)

    def teacher(self, weights: Path | None = None, *, network: Classifier | None = None) -> Classifier:
        """Return the run's teacher.

        The student learned from the teacher; in a run of `Supervised`, it was only compared with the teacher.

        Args:
            weights: A file of other weights for this network; None: the weights that the run used.
            network: The network to load the weights into, needed in the same case as for `student`.

        Raises:
            UserError: If the run has no teacher, its weights are missing, or ``network`` is needed and not given.
        """
        holder = self.config["model"].get("init_args") or {}
        if not holder.get("teacher"):
            raise UserError(f"{self.folder} was trained without a teacher; name one with --teacher RUN")
        if weights is None and self.files.teacher.is_file():
            weights = self.files.teacher
        elif weights is None and holder.get("teacher_weights"):
            weights = Path(holder["teacher_weights"])
        found = self._network("teacher", holder["teacher"], weights, network)
        if weights is None and network is None and not found.has_weights:
            raise UserError(
                f"{self.folder} has no weights of the teacher: its config.yaml names no file with these weights, and "
                f"{self.files.teacher.name} is missing; give a file of the weights: run.teacher(weights=…), or "
                "--teacher FILE"
            )
        return found

    def _network(self, role: str, described: Any, weights: Path | None, network: Classifier | None) -> Classifier:
        if network is None:
            if not isinstance(described, dict) and not has_unknown(described):
                raise UserError(
                    f"{self.files.config}: expected the {role} with its class_path, got {described!r}; restore the file"
                )
            if has_unknown(described):
                raise UserError(
                    f"{self.files.config} cannot describe the {role}, which was built in Python; in Python, build it "
                    f"again and give it: run.{role}(network=…); commands can use runs whose {role} is a "
                    "Tapped(functools.partial(Network, …))"
                )
            if weights is not None and (described.get("init_args") or {}).get("pretrained"):
                # Do not download pretrained weights, because `load_weights` below replaces them.
                described = {**described, "init_args": {**described["init_args"], "pretrained": False}}
            network = build_object(Classifier, described)  # type: ignore[type-abstract]
        if weights is not None:
            load_weights(network, weights)
        return network.eval()

    def data(self, changed: Mapping[str, Any] | None = None) -> ImageDataModule:
        """Return the data of the run.

        Args:
            changed: Arguments of the data module that replace those of the run, such as ``data_dir``; None: no changes.

        Raises:
            UserError: If the data module is no `ImageDataModule`, or does not take one of the arguments in ``changed``.
        """
        described = self.config["data"]
        arguments = {**(described.get("init_args") or {}), **(changed or {})}
        return build_object(ImageDataModule, {**described, "init_args": arguments})  # type: ignore[type-abstract]


def load_runs(pattern: str | Path) -> list[Run]:
    """Return, in alphabetical order, the runs in folders that match a pattern, such as ``runs/digits/*``.

    A folder that matches can itself be a run, or contain runs.

    Runs that have not ended are included as soon as their ``config.yaml`` is written; see `Run.finished`.

    Raises:
        MissingFileError: If there is no such run.
    """
    folders = [Path(found) for found in sorted(glob.glob(str(pattern), recursive=True))]
    found = dict.fromkeys(run for folder in folders for run in list_runs(folder))
    runs = [Run(run) for run in found if RunFolder(run).config.is_file()]
    if not runs:
        raise MissingFileError(f"{pattern}: expected folders of runs, found none; a run's folder has a config.yaml")
    return runs
