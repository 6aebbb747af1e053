"""A teacher cache on disk: its description, the random choices of its views, and a memory-mapped array per output.

A teacher cache holds the outputs of a frozen teacher on augmented versions (views) of the training images.
"""

import hashlib
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kdlight.errors import UserError
from kdlight.files import DiskFullError, replace_file

DESCRIPTION, VIEWS = "cache.json", "views.safetensors"


@dataclass
class Store:
    """The files of a cache.

    The cache holds k views of every sample, and every epoch uses one of them. A view is all that a method sees of a
    sample in one step: one image, or several, such as a weakly and a strongly augmented one. The array of an output has
    the shape (k, samples, images in a view, …).

    Attributes:
        folder: The folder that holds the files.
        description: A dict with four keys. ``key`` says what the outputs depend on, ``outputs`` gives the shape and the
            type of each array, and ``filled`` is the number of views that are complete. ``sha256`` holds the checksum
            of every data file; it is empty until all k views are complete.
    """

    folder: Path
    description: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the description of an existing cache.

        Raises:
            UserError: If the file is not the description of a cache.
        """
        try:
            content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            return cls(folder, {name: content[name] for name in ("key", "outputs", "filled", "sha256")})
        except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise UserError(
                f"{folder / DESCRIPTION} does not describe a teacher cache: {error!r}; remove {folder}, and the "
                "next run fills a new cache"
            ) from error

    @classmethod
    def create(cls, folder: Path, key: dict[str, Any], parameters: list[dict[str, Tensor]], outputs: Any) -> Self:
        """Create the files of an empty cache.

        Args:
            folder: The folder to create. If it already holds a cache, that cache is removed.
            key: What the outputs depend on.
            parameters: The random choices of each view, see `EpochViews.draw`.
            outputs: The shape and the type of each array, by the name of the output.

        Raises:
            DiskFullError: If the disk has no room for the cache.
            UserError: If `folder` is a file, or a folder that holds no cache.
        """
        if folder.exists() and not (folder / DESCRIPTION).is_file():
            raise UserError(f"{folder} is in the way: expected an unfinished teacher cache or nothing; remove it")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        store = cls(folder, {"key": key, "outputs": outputs, "filled": 0, "sha256": {}})
        needed, free = sum(map(store.compute_size, outputs)), shutil.disk_usage(folder).free
        if needed > free:
            shutil.rmtree(folder)
            raise DiskFullError(
                f"the teacher cache {folder.with_suffix('')} needs {needed / 1e6:,.1f} MB, but {free / 1e6:,.1f} MB "
                "are free: choose another path, fewer views, fewer logits (`top`), or a method that reads fewer outputs"
            )
        named = {f"{view}/{name}": value for view, of_view in enumerate(parameters) for name, value in of_view.items()}
        save_file({name: value.contiguous() for name, value in named.items()}, folder / VIEWS)
        for name in outputs:
            with store.get_file(name).open("wb") as file:
                file.truncate(store.compute_size(name))
        store.describe()
        return store

    def describe(self) -> None:
        """Write the description atomically: a crash never leaves half of the file."""
        with replace_file(self.folder / DESCRIPTION) as draft:
            draft.write_text(json.dumps(self.description, indent=2) + "\n", encoding="utf-8")

    def load_parameters(self) -> list[dict[str, Tensor]]:
        """Load the random choices of each view."""
        views: list[dict[str, Tensor]] = [{} for _ in range(self.description["key"]["views"])]
        for name, value in load_file(self.folder / VIEWS).items():
            view, _, parameter = name.partition("/")
            views[int(view)][parameter] = value
        return views

    def get_file(self, name: str) -> Path:
        """Return the path of an output's file."""
        return self.folder / f"{name}.bin"

    def compute_size(self, name: str) -> int:
        """Compute the size of an output's file, in bytes."""
        shape, dtype = self.description["outputs"][name]
        size: int = math.prod(shape) * getattr(torch, dtype).itemsize
        return size

    def write(self, name: str, view: int, start: int, values: Tensor) -> None:
        """Write a part of an output's array: one view of consecutive samples.

        Args:
            name: The name of the output.
            view: The number of the view, from 0 to k - 1.
            start: The number of the first of these samples.
            values: The output, (samples, images in a view, …).
        """
        shape, _ = self.description["outputs"][name]
        with self.get_file(name).open("r+b") as file:
            file.seek((view * shape[1] + start) * (self.compute_size(name) // math.prod(shape[:2])))
            file.write(values.numpy().tobytes())

    def map_array(self, name: str) -> Tensor:
        """Map the array of an output into memory. Changes of the returned tensor do not reach the file."""
        shape, dtype = self.description["outputs"][name]
        path = str(self.get_file(name))
        return torch.from_file(path, shared=False, size=math.prod(shape), dtype=getattr(torch, dtype)).view(shape)

    def compute_sums(self) -> dict[str, str]:
        """Compute the sha256 of every file that holds data."""
        found = {}
        for path in [self.folder / VIEWS, *map(self.get_file, self.description["outputs"])]:
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def verify(self) -> None:
        """Compare the files with their checksums.

        Raises:
            UserError: If a file is missing or was changed.
        """
        try:
            found = self.compute_sums()
        except FileNotFoundError as error:
            found = {Path(error.filename).name: "no file"}
        for name, expected in self.description["sha256"].items():
            if found.get(name) != expected and name in found:
                raise UserError(
                    f"{self.folder / name} is truncated or changed: expected sha256 {expected}, found {found[name]}; "
                    f"remove {self.folder}, and the next run fills a new cache"
                )
