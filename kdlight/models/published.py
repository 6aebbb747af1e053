"""Weights that others have published. A name such as ``published:cifar100/resnet56`` takes the place of a path."""

import http.client
import os
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from kdlight.downloads import DownloadError, compute_sha256, download
from kdlight.errors import UserError

PREFIX = "published:"
FOLDER = Path("data/weights")
REPDISTILLER = "http://shape2prog.csail.mit.edu/repo"
MDISTILLER = "https://github.com/megvii-research/mdistiller/releases/download/checkpoints/cifar_teachers.tar"
AKAMASTER = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models"


class PublishedWeights(NamedTuple):
    """A file of weights.

    Attributes:
        network: The name of the network in `kdlight.models`, with its arguments if they differ from the defaults.
        num_classes: The number of the network's classes.
        file: The path at which the file is stored below ``data/weights``.
        addresses: The addresses of the file, tried in this order. An address that ends with ``.tar`` leads to an
            archive that contains the file.
        member: The name of the file in the archive; empty if no address leads to an archive.
        sha256: The first digits of the published sha256; empty if none is published.
    """

    network: str
    num_classes: int
    file: str
    addresses: tuple[str, ...]
    member: str = ""
    sha256: str = ""


def _describe_cifar100(name: str) -> PublishedWeights:
    """Describe a teacher that the repositories RepDistiller and mdistiller publish."""
    own = f"{name}_vanilla/ckpt_epoch_240.pth"
    return PublishedWeights(
        name, 100, f"cifar100/{own}", (f"{REPDISTILLER}/{own}", MDISTILLER), f"cifar_teachers/{own}"
    )


def _describe_cifar10(name: str, digits: str) -> PublishedWeights:
    """Describe a file of akamaster/pytorch_resnet_cifar10. The file's name contains the first digits of its sha256."""
    file = f"{name}-{digits}.th"
    return PublishedWeights(f"{name}, shortcut: padding", 10, file, (f"{AKAMASTER}/{file}",), sha256=digits)


WEIGHTS = {
    **{
        f"cifar100/{name}": _describe_cifar100(name)
        for name in ("wrn_40_2", "resnet56", "resnet110", "resnet32x4", "vgg13", "ResNet50")
    },
    "cifar10/resnet20": _describe_cifar10("resnet20", "12fca82f"),
    "cifar10/resnet56": _describe_cifar10("resnet56", "4bfd9763"),
}


def find_published(name: str) -> PublishedWeights:
    """Return the entry of `WEIGHTS` that ``published:NAME`` stands for.

    Raises:
        UserError: If nothing is published under that name.
    """
    name = name.removeprefix(PREFIX)
    if name not in WEIGHTS:
        raise UserError(f"no weights are known as {PREFIX}{name}; expected one of {', '.join(WEIGHTS)}")
    return WEIGHTS[name]


def is_published(path: str | Path) -> bool:
    """Return whether a path of weights has the form ``published:NAME``."""
    return str(path).startswith(PREFIX)


def fetch_published(path: str | Path) -> Path:
    """Return the file that ``published:NAME`` stands for. If it is missing, download it first.

    A download that was cut off continues where it stopped. If no checksum is published for the weights, the first use
    prints their checksum and stores it beside them; weights that change later are refused.

    Raises:
        DownloadError: If the file could not be downloaded; the message says where the user can put it by hand.
        UserError: If nothing is published under that name, or the file's checksum is not the published or stored one.
    """
    weights = find_published(str(path))
    file = FOLDER / weights.file
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):
        if not file.is_file():
            _fetch(weights, file)
        _check(weights, file)
    return file


def _fetch(weights: PublishedWeights, file: Path) -> None:
    failures = []
    for address in weights.addresses:
        name = address.rpartition("/")[2]
        packed = name.endswith(".tar")
        part = (FOLDER / name if packed else file).with_name(f"{name if packed else file.name}.part")
        try:
            download(address, part)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{address}: {' '.join(str(error).split()) or type(error).__name__}")
            continue
        if packed:
            _unpack(part, weights.member, file)
        else:
            if not compute_sha256(part).startswith(weights.sha256):
                found = compute_sha256(part)
                part.unlink()
                failures.append(f"{address}: expected sha256 {weights.sha256}…, found {found}")
                continue
            os.replace(part, file)
        return
    raise DownloadError(
        f"{file} is missing and could not be downloaded ({'; '.join(failures)}); run again (a download that was cut "
        f"off continues), or download {weights.addresses[0]} by other means and save it as {file.absolute()}"
    )


def _unpack(part: Path, member: str, file: Path) -> None:
    draft = file.with_name(f"{file.name}.unpacked")
    try:
        with tarfile.open(part) as tar:
            content = tar.extractfile(member)
            if content is None:
                raise KeyError(member)
            with draft.open("wb") as stream:
                while data := content.read(1 << 20):
                    stream.write(data)
    except (tarfile.TarError, KeyError) as error:
        part.unlink()
        archive = part.name.removesuffix(".part")
        raise UserError(f"{archive} is damaged or has no {member} ({error}); run again to download it") from error
    os.replace(draft, file)


def _check(weights: PublishedWeights, file: Path) -> None:
    found = compute_sha256(file)
    record = file.with_name(f"{file.name}.sha256")
    if not weights.sha256 and not record.is_file():
        record.write_text(f"{found}  {file.name}\n", encoding="utf-8")
        print(f"no checksum is published for {file}; stored the checksum of this file, {found}", file=sys.stderr)
    expected = weights.sha256 or record.read_text(encoding="utf-8").split()[0]
    if not found.startswith(expected):
        expected += "…" if len(expected) < len(found) else ""
        raise UserError(
            f"{file} has changed: expected sha256 {expected}, found {found}; "
            f"remove the file (and {record.name}, if it exists), and run again to download it"
        )
