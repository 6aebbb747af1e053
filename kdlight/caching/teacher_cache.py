"""A cache of the teacher's outputs that stays correct under augmentation.

The teacher's output depends on the augmented view of an image, not on the image alone. So the cache has k views of
every training image. For each view, it stores the random choices that make the view, and the teacher's outputs on the
view. Training repeats these choices: epoch e sees view e mod k. Without augmentation there is one view. The idea comes
from Z. Shen, E. Xing, "A Fast Knowledge Distillation Framework for Visual Recognition", ECCV 2022 (arXiv 2112.01528),
and F. Faghri et al., "Reinforce Data, Multiply Impact", ICCV 2023 (arXiv 2303.08983).

Both papers store soft labels of random crops of an image. This cache works with any augmentation of the data module,
and can store the teacher's features as well. If a method sees several augmented versions of an image in one step, these
versions together are one view of the cache.
"""

__all__ = ["TeacherCache"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from kdlight.caching.builder import CacheBuilder, TeacherOutputs
from kdlight.caching.outputs import decode
from kdlight.caching.store import Store
from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError
from kdlight.models.activations import Activations
from kdlight.models.frozen import Frozen
from kdlight.models.noisy_features import NoisyFeatures
from kdlight.streams import STREAMS_VERSION


@dataclass
class TeacherCache:
    """The settings of a cache.

    Args:
        path: The folder of the cache. The command `kdlight cache` can fill it in advance; otherwise the first run that
            uses the cache fills it.
        views: k, the number of augmented views of every image. With more views the student sees more variety, but the
            cache takes longer to fill and needs more space on the disk.
        top: How many of the highest logits to store for each sample. Of the other classes, only the total probability
            is stored. null: store all logits.
        precision: The type of the stored numbers. float16 keeps about three decimal digits of numbers up to 65,504.

    Raises:
        UserError: If the path is empty, a number is below 1, or the precision is neither float16 nor float32.
    """

    path: str
    views: int = 4
    top: int | None = None
    precision: Literal["float16", "float32"] = "float16"

    def __post_init__(self) -> None:
        if not self.path:  # Path("") would be the working folder
            raise UserError("teacher_cache.path: expected the path of a folder, got ''")
        if self.views < 1 or (self.top is not None and self.top < 1) or self.precision not in ("float16", "float32"):
            raise UserError(
                f"teacher_cache: expected views and top to be at least 1, and precision to be float16 or float32, got "
                f"views {self.views}, top {self.top}, precision {self.precision}"
            )


# Largest allowed difference between a stored output and the recomputed one, as a fraction of the largest output. The
# rounding errors that come from half precision or a different batch size are far smaller.
CLOSE = 0.02


class CachedTeacher:
    """Returns a teacher's activations from a complete cache.

    Args:
        store: A complete cache.
        fields: The fields of `Activations` that are read.
        num_classes: The teacher's number of classes.
    """

    def __init__(self, store: Store, fields: tuple[str, ...], num_classes: int) -> None:
        self.fields, self.num_classes = fields, num_classes
        self.parameters = store.load_parameters()
        self.sha256 = store.description["sha256"]
        read = [name for name in store.description["outputs"] if name.partition(".")[0] in fields]
        self._arrays = {name: store.map_array(name) for name in read}
        self._moved: tuple[int, torch.device, dict[str, Tensor]] | None = None

    def activations(self, epoch: int, index: Tensor) -> Activations:
        """Return the teacher's activations in float32.

        If `index` lies on an accelerator, the arrays of the epoch's view are moved there and kept until the view
        changes.

        Args:
            epoch: The epoch, which determines the view.
            index: (batch,) places of the samples in the training split.
        """
        view = epoch % len(self.parameters)
        rows = {name: values[index] for name, values in self._load_view(view, index.device).items()}
        stacked = {name: values.transpose(0, 1).flatten(0, 1) for name, values in rows.items()}
        return decode(stacked, self.fields, num_classes=self.num_classes)

    def _load_view(self, view: int, device: torch.device) -> dict[str, Tensor]:
        if self._moved is None or self._moved[:2] != (view, device):
            self._moved = None  # frees the old view before the new one is moved to the device
            self._moved = view, device, {name: array[view].to(device) for name, array in self._arrays.items()}
        return self._moved[2]


def open_cache(
    settings: TeacherCache, teacher: Frozen, data: ImageDataModule, outputs: TeacherOutputs, trainer: Trainer
) -> CachedTeacher:
    """Open the cache in the settings' folder. If the folder has no cache yet, compute and store it first.

    In a distributed run, every process computes its share of the cache.

    Raises:
        UserError: If the cache was made for another teacher, other images or another transform, does not hold what the
            method reads, or has files that were changed. Also if the teacher contains `NoisyFeatures`, whose noise
            changes in every step.
        OSError: If the disk has no room for the cache.
    """
    if any(isinstance(module, NoisyFeatures) for module in teacher.model.modules()):
        raise UserError(
            "teacher_cache: expected a teacher that always computes the same outputs, got one with NoisyFeatures (the "
            "noise of NoisyFeatures changes in every step); leave out teacher_cache"
        )
    folder = Path(settings.path).expanduser()
    folder = folder if folder.name else folder.resolve()
    if settings.top is not None and settings.top >= teacher.num_classes:
        raise UserError(
            f"teacher_cache.top is {settings.top}: expected less than the teacher's {teacher.num_classes} classes, or "
            "null to store all logits"
        )
    key = {
        "teacher": teacher.sha256(),
        "images": data.hash_train_images(),
        "transform": data.describe_transform(views=outputs.views, strong=outputs.strong),
        "views": settings.views if data.augment else 1,
        "top": settings.top,
        "precision": settings.precision,
        "streams": STREAMS_VERSION,
        "computed_in": [str(trainer.precision), str(teacher.lowered)],
    }
    builder = CacheBuilder(folder, key, teacher, data, outputs, trainer)
    builder.build_if_missing()
    store = Store.read(folder)
    _require_same(store, key)
    store.verify()
    _require_same_outputs(store, builder)
    return CachedTeacher(store, outputs.fields, teacher.num_classes)


MADE_FOR = {
    "teacher": "another teacher (sha256)",
    "images": "other training images (sha256)",
    "transform": "another transform",
    "views": "another number of views",
    "top": "another `top`",
    "precision": "another precision",
    "streams": "random streams of another version of kdlight",
    "computed_in": "a teacher computing in another precision",
}
REMEDY = "give this run's cache another path, or remove the folder to have the cache made anew"


def _require_same(store: Store, key: dict[str, Any]) -> None:
    """Raise `UserError` if the cache was made with another key than this run's key."""
    for name, wanted in key.items():
        found = store.description["key"].get(name)
        if found != wanted:
            if isinstance(wanted, dict) and isinstance(found, dict):
                differing = [part for part in wanted if wanted[part] != found.get(part)]
                found, wanted = ({part: side.get(part) for part in differing} for side in (found, wanted))
            raise UserError(
                f"the teacher cache {store.folder} was made for {MADE_FOR[name]}: it has {found}, this run has "
                f"{wanted}; {REMEDY}"
            )


def _require_same_outputs(store: Store, builder: CacheBuilder) -> None:
    """Compare the stored outputs on two images with recomputed ones.

    The cache's key identifies the teacher by the hash of its weights only, but networks with equal weights can differ
    in their code.
    """
    for name, expected in builder.compute_sample(store.load_parameters()[0]).items():
        if name not in store.description["outputs"]:
            raise UserError(
                f"the teacher cache {store.folder} does not hold the teacher's {name.partition('.')[0]}, which this "
                "method reads; give this run's cache another path"
            )
        found = store.map_array(name)[0, : len(expected)]
        if not expected.is_floating_point():
            continue  # these are class indices: rounding may swap two classes whose logits are nearly equal
        if found.shape != expected.shape or (found - expected).abs().max() > CLOSE * expected.abs().max():
            raise UserError(
                f"the {name} in the teacher cache {store.folder} differ from those that this teacher computes on the "
                f"same images: expected the same network and data; {REMEDY}"
            )
