"""Fill a teacher cache: run the teacher once on every augmented view of every image.

The processes of a distributed run share the work.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from lightning.pytorch import Trainer
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from kdlight.caching.outputs import encode
from kdlight.caching.store import DESCRIPTION, Store
from kdlight.data.base.batch import Batch
from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError
from kdlight.models.frozen import Frozen

# While another run holds the lock of the cache, the first process of this run sends a message to the other processes of
# this run at this interval. If no message came for a much longer time, the waiting processes would stop with a timeout.
LOCK_SECONDS = 20


@dataclass(frozen=True)
class TeacherOutputs:
    """The teacher's outputs that a method reads in one step.

    Attributes:
        fields: Names of the fields of `Activations` that the method reads.
        views: How many augmented images of each sample the method sees in one step.
        strong: Whether the last of these images is strongly augmented.
    """

    fields: tuple[str, ...]
    views: int = 1
    strong: bool = False


@dataclass(frozen=True)
class CacheBuilder:
    """Fills a cache with the outputs of a run's teacher.

    Attributes:
        folder: The folder of the cache.
        key: Everything that the outputs depend on, such as the hash of the teacher. ``key["views"]`` is k of `Store`:
            the cache holds k views of every sample. Each view consists of ``wanted.views`` images.
        teacher: The teacher, which computes the outputs.
        data: The data module, from which the images and their views come.
        wanted: The outputs to store.
        trainer: The run's trainer, whose devices, processes and precision are used.
    """

    folder: Path
    key: dict[str, Any]
    teacher: Frozen
    data: ImageDataModule
    wanted: TeacherOutputs
    trainer: Trainer

    def build_if_missing(self) -> None:
        """Fill the cache unless it is complete. If several runs need the same cache, one fills it and the others wait.

        Raises:
            UserError: If the folder holds anything but a cache, cannot be created, or is not visible to every process.
        """
        if self._is_complete():
            return
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        if self.folder.is_file() or (names and DESCRIPTION not in names):
            raise UserError(
                f"{self.folder} is not empty and is no teacher cache: expected a new or empty folder; "
                "choose another path"
            )
        lock = self._lock()
        try:
            if not self._is_complete():
                self._fill()
        finally:
            if lock is not None:
                lock.release()

    def compute_sample(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute the outputs for the first two training images, as the cache would store them.

        Args:
            parameters: The random choices of one view, see `EpochViews.draw`.

        Returns:
            A tensor (2, images in a view, …) for each output, by the output's name.
        """
        two = torch.arange(self.data.train_size)[:2]
        (batch,) = self._load_views([two], parameters)
        return {name: self._group_by_sample(values) for name, values in self._compute(batch.images).items()}

    def _is_complete(self) -> bool:
        """Return whether there is a complete cache. The first process looks, and sends its answer to the others."""
        return bool(self.trainer.strategy.broadcast((self.folder / DESCRIPTION).is_file()))

    def _lock(self) -> FileLock | None:
        """Wait for the lock of the cache. The first process acquires and returns the lock, the others return None."""
        file = self.folder.with_name(f"{self.folder.name}.lock")
        reason = self.trainer.strategy.broadcast(_create_lock(file) if self.trainer.is_global_zero else None)
        if reason:  # if only the first process raised this, the others would wait forever
            raise UserError(
                f"no teacher cache can be made at {self.folder}: {file} cannot be written ({reason}); "
                "set teacher_cache.path to a folder where you may write"
            )
        lock = FileLock(file) if self.trainer.is_global_zero else None
        held = False
        while not held:
            if lock is not None:
                try:
                    lock.acquire(timeout=LOCK_SECONDS)
                    held = True
                except Timeout:
                    print(f"kdlight: another run makes the cache {self.folder}; waiting for that run", file=sys.stderr)
            held = bool(self.trainer.strategy.broadcast(held))
        return lock

    def _fill(self) -> None:
        """Fill the cache, one view after the other.

        If an earlier run was stopped, continue after the last view that it completed.
        """
        draft, first = self.folder.with_name(f"{self.folder.name}.part"), self.trainer.is_global_zero
        share = torch.arange(self.data.train_size).tensor_split(self.trainer.world_size)[self.trainer.global_rank]
        batches = share.split(max(1, self.data.eval_batch_size // self.wanted.views))
        if first:
            self._begin(draft)
        self.trainer.strategy.barrier("teacher cache begun")
        if not draft.is_dir():
            raise UserError(
                f"process {self.trainer.global_rank} does not see {draft}: expected a disk that all processes share; "
                "choose another path"
            )
        store = Store.read(draft)
        parameters = store.load_parameters()
        filled, views = store.description["filled"], self.key["views"]
        console = Console(stderr=True)
        with Progress(console=console, disable=not (first and console.is_terminal), transient=True) as progress:
            task = progress.add_task("teacher cache", total=views * len(batches), completed=filled * len(batches))
            for view in range(filled, views):
                progress.update(task, description=f"teacher cache, view {view + 1} of {views}")
                for batch in self._load_views(batches, parameters[view]):
                    for name, values in self._compute(batch.images).items():
                        store.write(name, view, int(batch.index[0]), self._group_by_sample(values))
                    progress.advance(task)
                self.trainer.strategy.barrier("teacher cache filled")
                if first:
                    store.description["filled"] = view + 1
                    store.describe()
        if first:
            store.description["sha256"] = store.compute_sums()
            store.describe()
            draft.rename(self.folder)
        self.trainer.strategy.barrier("teacher cache complete")

    def _begin(self, draft: Path) -> None:
        """Create the empty files of the cache, unless the draft of an earlier run can be continued."""
        key = {**self.key, "fields": list(self.wanted.fields)}
        if (draft / DESCRIPTION).is_file() and Store.read(draft).description["key"] == key:
            return
        views, strong = self.wanted.views, self.wanted.strong
        drawn = [self.data.views.draw(view, views=views, strong=strong) for view in range(key["views"])]
        size = [key["views"], self.data.train_size]
        outputs = {
            name: [[*size, *values.shape[1:]], str(values.dtype).rpartition(".")[2]]
            for name, values in self.compute_sample(drawn[0]).items()
        }
        Store.create(draft, key, drawn, outputs)

    def _load_views(self, indices: Sequence[Tensor], parameters: dict[str, Tensor]) -> Iterator[Batch]:
        return self.data.load_views(indices, parameters, views=self.wanted.views, strong=self.wanted.strong)

    def _group_by_sample(self, values: Tensor) -> Tensor:
        """Turn outputs (images in a view * batch, …) into outputs (batch, images in a view, …)."""
        stacked: Tensor = values.unflatten(0, (self.wanted.views, -1))
        return stacked.transpose(0, 1)

    def _compute(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the outputs to store for a batch, and move them to the CPU."""
        precision = self.trainer.precision_plugin
        images = precision.convert_input(images.to(self.trainer.strategy.root_device))
        with precision.forward_context():
            computed = self.teacher.activations(images, inference=True)
        kind = getattr(torch, self.key["precision"])
        encoded = encode(computed, self.wanted.fields, top=self.key["top"], dtype=kind)
        for name, values in encoded.items():
            if not values.isfinite().all():
                raise UserError(
                    f"the teacher's {name} is not finite in {self.key['precision']}: expected finite numbers; set "
                    "teacher_cache.precision to float32, or check the teacher"
                )
        return {name: values.cpu() for name, values in encoded.items()}


def _create_lock(file: Path) -> str | None:
    """Create the file of a lock. Return None, or the reason why the file cannot be created.

    `FileLock` would not report the reason. After some errors it behaves as if another process held the lock, and waits.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        return error.strerror or str(error)
    return None
