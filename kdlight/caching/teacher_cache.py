"""A cache of the teacher that is right under augmentation.

Z. Shen, E. Xing, "A Fast Knowledge Distillation Framework for Visual Recognition", ECCV 2022 (arXiv 2112.01528), and F.
Faghri et al., "Reinforce Data, Multiply Impact", ICCV 2023 (arXiv 2303.08983): an output belongs to a view, not to an
image. So the random choices of k views of every training image are kept beside what the teacher computed on them, and
training replays them: epoch e sees view e mod k. Without augmentation there is one view.

Both papers divide a large image into crops and keep soft labels; here a view is whatever the data module draws for an
epoch, and features may be kept as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock
from lightning.pytorch import Trainer
from rich.progress import Progress
from torch import Tensor

from kdlight.caching.outputs import decode, encode
from kdlight.caching.store import DESCRIPTION, Store
from kdlight.data.module import ImageDataModule
from kdlight.models.activations import Activations
from kdlight.models.frozen import Frozen


@dataclass
class TeacherCache:
    """Where a cache lies and what it keeps.

    Args:
        path: Its folder; the first run that names it makes it, or `kdlight cache` does ahead.
        views: k, the number of augmented views of every image; more are more varied, and take longer to make.
        top: Keep the highest logits alone, that many a sample, and the mass of the others; null keeps all.
        precision: What is kept. float16 has three digits and reaches to 65,504.

    Raises:
        ValueError: If a number is below 1, or the precision is another.
    """

    path: str
    views: int = 4
    top: int | None = None
    precision: Literal["float16", "float32"] = "float16"

    def __post_init__(self) -> None:
        if self.views < 1 or (self.top is not None and self.top < 1) or self.precision not in ("float16", "float32"):
            raise ValueError(
                f"a teacher cache needs views and top of at least 1 and the precision float16 or float32, got "
                f"{self.views}, {self.top}, {self.precision}"
            )


@dataclass(frozen=True)
class Lesson:
    """What a method takes from its teacher, and what it sees of a sample in one step.

    Attributes:
        fields: Names of the fields of `Activations` that are read.
        views: Images of a sample in a step.
        strong: Whether the last of them is strengthened.
    """

    fields: tuple[str, ...]
    views: int = 1
    strong: bool = False


class CachedTeacher:
    """A complete cache in the teacher's place.

    Args:
        store: A complete cache.
        num_classes: The teacher's.
    """

    def __init__(self, store: Store, num_classes: int) -> None:
        self.num_classes = num_classes
        self.parameters = store.parameters()
        self.sha256 = store.description["sha256"]
        self._arrays = {name: store.array(name) for name in store.description["outputs"]}
        self._moved: tuple[int, torch.device, dict[str, Tensor]] | None = None

    def activations(self, epoch: int, index: Tensor) -> Activations:
        """What the teacher computed on the samples at `index` (batch,) in the view of an epoch, in float32.

        Where the index lies on an accelerator, the arrays of the epoch's view are moved there once an epoch.
        """
        view = epoch % len(self.parameters)
        rows = {name: values[index] for name, values in self._of_view(view, index.device).items()}
        stacked = {name: values.transpose(0, 1).flatten(0, 1) for name, values in rows.items()}
        return decode(stacked, num_classes=self.num_classes)

    def _of_view(self, view: int, device: torch.device) -> dict[str, Tensor]:
        if self._moved is None or self._moved[:2] != (view, device):
            arrays = {name: array[view].to(device, non_blocking=True) for name, array in self._arrays.items()}
            self._moved = view, device, arrays
        return self._moved[2]


def opened(
    settings: TeacherCache, teacher: Frozen, data: ImageDataModule, lesson: Lesson, trainer: Trainer
) -> CachedTeacher:
    """Open a cache, after making it if there is none; every process of a distributed run makes its share.

    Raises:
        ValueError: If what is there was made for another teacher, other images, another transform, or does not hold
            what the method reads; or if its files changed.
        OSError: If the disk has no room for it.
    """
    folder = Path(settings.path).expanduser()
    key = {
        "teacher": teacher.sha256(),
        "images": data.train_sha256(),
        "transform": data.transform_identity(views=lesson.views, strong=lesson.strong),
        "views": settings.views if data.augment else 1,
        "top": settings.top,
        "precision": settings.precision,
        "computed_in": [str(trainer.precision), str(teacher.lowered)],
    }
    if settings.top is not None and settings.top >= teacher.num_classes:
        raise ValueError(
            f"teacher_cache.top is {settings.top} of {teacher.num_classes} classes: expected fewer; null keeps all"
        )
    with _locked(folder, trainer):
        missing = trainer.strategy.broadcast(not (folder / DESCRIPTION).is_file())
        if missing:
            _fill(folder, key, teacher, data, lesson, trainer)
    store = Store.read(folder)
    _require_same(store, key, lesson.fields)
    store.verify()
    return CachedTeacher(store, teacher.num_classes)


MADE_FOR = {
    "teacher": "another teacher (sha256)",
    "images": "other training images (sha256)",
    "transform": "another transform",
    "views": "another number of views",
    "top": "another `top`",
    "precision": "another precision",
    "computed_in": "a teacher computing in another precision",
}


def _require_same(store: Store, key: dict[str, Any], fields: tuple[str, ...]) -> None:
    made_for = store.description["key"]
    for name, wanted in key.items():
        found = made_for.get(name)
        if found != wanted:
            if isinstance(wanted, dict) and isinstance(found, dict):
                differing = [part for part in wanted if wanted[part] != found.get(part)]
                found, wanted = ({part: side.get(part) for part in differing} for side in (found, wanted))
            raise ValueError(
                f"the teacher cache {store.folder} was made for {MADE_FOR[name]}: it has {found}, this run {wanted}; "
                "give this run's cache another path, or remove the folder and it is made anew"
            )
    absent = set(fields) - set(made_for["fields"])
    if absent:
        raise ValueError(
            f"the teacher cache {store.folder} does not hold the teacher's {', '.join(sorted(absent))}, which this "
            "method reads; give this run's cache another path"
        )


@contextmanager
def _locked(folder: Path, trainer: Trainer) -> Iterator[None]:
    """One run at a time makes a cache; the first process speaks for the others."""
    if trainer.is_global_zero:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            yield
    else:
        yield


def _fill(
    folder: Path, key: dict[str, Any], teacher: Frozen, data: ImageDataModule, lesson: Lesson, trainer: Trainer
) -> None:
    """Make a cache; one whose making was stopped goes on behind its last whole view."""
    draft, first = folder.with_name(f"{folder.name}.part"), trainer.is_global_zero
    share = torch.arange(data.train_size).tensor_split(trainer.world_size)[trainer.global_rank]
    batches = share.split(max(1, data.eval_batch_size // lesson.views))
    key = {**key, "fields": list(lesson.fields)}
    if first:
        _begin(draft, key, teacher, data, lesson, trainer)
    trainer.strategy.barrier("teacher cache begun")
    store = Store.read(draft)
    parameters = store.parameters()
    filled, views = store.description["filled"], key["views"]
    with Progress(disable=not first, transient=True) as progress:
        task = progress.add_task("teacher cache", total=views * len(batches), completed=filled * len(batches))
        for view in range(filled, views):
            progress.update(task, description=f"teacher cache, view {view + 1} of {views}")
            for batch in data.training_views(batches, parameters[view], views=lesson.views, strong=lesson.strong):
                for name, values in _computed(batch.images, key, teacher, trainer).items():
                    by_sample = values.unflatten(0, (lesson.views, -1)).transpose(0, 1)
                    store.write(name, view, int(batch.index[0]), by_sample)
                progress.advance(task)
            trainer.strategy.barrier("teacher cache filled")
            if first:
                store.description["filled"] = view + 1
                store.describe()
    if first:
        store.description["sha256"] = store.sums()
        store.describe()
        draft.rename(folder)
    trainer.strategy.barrier("teacher cache complete")


def _begin(
    draft: Path, key: dict[str, Any], teacher: Frozen, data: ImageDataModule, lesson: Lesson, trainer: Trainer
) -> None:
    if (draft / DESCRIPTION).is_file() and Store.read(draft).description["key"] == key:
        return
    drawn = [data.view_parameters(view, views=lesson.views, strong=lesson.strong) for view in range(key["views"])]
    two = torch.arange(data.train_size)[:2]
    (batch,) = data.training_views([two], drawn[0], views=lesson.views, strong=lesson.strong)
    outputs = {
        name: [[key["views"], data.train_size, lesson.views, *values.shape[1:]], str(values.dtype).rpartition(".")[2]]
        for name, values in _computed(batch.images, key, teacher, trainer).items()
    }
    Store.create(draft, key, drawn, outputs)


def _computed(images: Tensor, key: dict[str, Any], teacher: Frozen, trainer: Trainer) -> dict[str, Tensor]:
    """What is kept of a batch, on the CPU."""
    precision = trainer.precision_plugin
    images = precision.convert_input(images.to(trainer.strategy.root_device))
    with precision.forward_context():
        computed = teacher.activations(images, inference=True)
    encoded = encode(computed, key["fields"], top=key["top"], dtype=getattr(torch, key["precision"]))
    for name, values in encoded.items():
        if not values.isfinite().all():
            raise ValueError(
                f"the teacher's {name} is not finite in {key['precision']}: expected finite numbers; set "
                "teacher_cache.precision to float32, or check the teacher"
            )
    return {name: values.cpu() for name, values in encoded.items()}
