"""Find, check and read the published files of CIFAR-10 and CIFAR-100.

A. Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html. The images are published as Python pickles and as
binary records. Both forms can be read.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from kdlight.data.base.samples import Samples
from kdlight.data.sources.archives import describe_remedy
from kdlight.data.sources.pickled_arrays import load_pickled_arrays
from kdlight.errors import MissingFileError, UserError

PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Layout:
    """One published form of a data set: Python pickles or binary records.

    Attributes:
        folder: The folder in the archive.
        algorithm: The algorithm of the checksums, the strongest one for which checksums are published.
        train: The checksums of the training files: file name -> checksum, in the order in which the files are read.
        test: The checksum of the test file, in the same form.
        labels: One entry for each label of an image: its name ("target" or "coarse") -> its key in the pickle. For
            binary records, which have no keys, every value is None. In a binary record the labels come before the
            pixels, one byte each, in the dict's order.
    """

    folder: str
    algorithm: Literal["md5", "sha256"]
    train: dict[str, str]
    test: dict[str, str]
    labels: dict[str, str | None]

    def decode(self, data: bytes) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.int64]]]:
        """Return the pixels of one file, (n, 3072) with the red plane first, and its labels, each (n,).

        Raises:
            UserError: If the content does not have the form that the layout describes; the message says what is wrong.
        """
        if None in self.labels.values():
            record = len(self.labels) + PIXELS
            if len(data) == 0 or len(data) % record != 0:
                raise UserError(f"{len(data)} bytes are not a whole number of records of {record} bytes")
            records = np.frombuffer(data, np.uint8).reshape(-1, record)
            labels = {name: records[:, column].astype(np.int64) for column, name in enumerate(self.labels)}
            return records[:, len(self.labels) :], labels
        content = load_pickled_arrays(data)
        missing = {"data", *self.labels.values()} - content.keys()
        if missing:
            raise UserError(f"the pickle lacks the keys {', '.join(sorted(map(str, missing)))}")
        labels = {name: np.asarray(content[str(key)], np.int64) for name, key in self.labels.items()}
        pixels = content["data"]
        if np.ndim(pixels) != 2 or any(pixels.shape != (len(values), PIXELS) for values in labels.values()):
            raise UserError(f"pixels have the shape {np.shape(pixels)}, not ({len(labels['target'])}, {PIXELS})")
        return pixels, labels


CIFAR10 = (
    Layout(
        folder="cifar-10-batches-bin",
        algorithm="sha256",
        train={
            "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        },
        test={"test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"},
        labels={"target": None},
    ),
    Layout(
        folder="cifar-10-batches-py",
        algorithm="md5",
        train={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        test={"test_batch": "40351d587109b95175f43aff81a1287e"},
        labels={"target": "labels"},
    ),
)

CIFAR100 = (
    Layout(
        folder="cifar-100-binary",
        algorithm="sha256",
        train={"train.bin": "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"},
        test={"test.bin": "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"},
        labels={"coarse": None, "target": None},
    ),
    Layout(
        folder="cifar-100-python",
        algorithm="md5",
        train={"train": "16019d7e3df5f24257cddd939b257f8d"},
        test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        labels={"coarse": "coarse_labels", "target": "fine_labels"},
    ),
)


def find_layout(data_dir: Path, layouts: Sequence[Layout]) -> Layout | None:
    """Return the first layout whose folder lies in `data_dir`; None if there is none."""
    return next((layout for layout in layouts if (data_dir / layout.folder).is_dir()), None)


def read_files(
    data_dir: Path,
    layout: Layout,
    part: Literal["train", "test"],
    *,
    accept_modified: bool,
    train_batches: int | None = None,
) -> tuple[Samples, list[str]]:
    """Read the training or test files after comparing them with the published checksums.

    Args:
        data_dir: The folder that contains the layout's folder.
        layout: The published form of the files.
        part: Whether to read the training or the test files.
        accept_modified: Accept missing training files, and files whose checksum is not the published one.
        train_batches: How many of the training files to read, from the first on; None: all.

    Returns:
        The samples, and a sentence for each file that is not as published.

    Raises:
        MissingFileError: If a required file is missing.
        UserError: If a file is not the published one or cannot be read.
    """
    decoded, deviations = [], []
    remedy = describe_remedy(data_dir / layout.folder)
    files = dict(list(layout.train.items())[:train_batches]) if part == "train" else layout.test
    for name, expected in files.items():
        path = data_dir / layout.folder / name
        if not path.is_file():
            if not accept_modified or part == "test":
                hint = ", or set accept_modified: true to train without it" if part == "train" else ""
                raise MissingFileError(f"{path} is missing: {remedy}{hint}")
            deviations.append(f"{name} is missing")
            continue
        data = path.read_bytes()  # read once, so that exactly the checked bytes are decoded
        found = hashlib.new(layout.algorithm, data).hexdigest()
        if found != expected:
            if not accept_modified:
                raise UserError(
                    f"{path} is truncated or changed ({len(data)} bytes): expected {layout.algorithm} {expected}, "
                    f"found {found}; {remedy}, or set accept_modified: true to use it as it is"
                )
            deviations.append(f"{name} has {layout.algorithm} {found}")
        try:
            decoded.append(layout.decode(data))
        except ValueError as error:
            raise UserError(f"{path} cannot be read: {error}; {remedy}") from error
    if not decoded:
        raise MissingFileError(f"{data_dir / layout.folder} has none of {', '.join(files)}: {remedy}")
    images = np.concatenate([pixels for pixels, _ in decoded]).reshape(-1, 3, 32, 32)
    targets = {
        name: torch.from_numpy(np.concatenate([labels[name] for _, labels in decoded])) for name in layout.labels
    }
    return Samples(torch.from_numpy(images), targets.pop("target"), targets), deviations
