"""Download a published archive, check it, and unpack it completely or not at all.

This file does not use torch.hub or pooch, because they neither resume a download nor try a second address.
"""

import http.client
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from kdlight.downloads import DownloadError, compute_sha256, download
from kdlight.errors import UserError


class Archive(NamedTuple):
    """A published archive.

    Attributes:
        name: The name of the file; every address of the archive ends with this name.
        sha256: The published checksum.
        folder: The folder in the archive that contains the data.
    """

    name: str
    sha256: str
    folder: str


def fetch_archive(mirrors: Sequence[str], archives: Sequence[Archive], data_dir: Path) -> None:
    """Download one of `archives` and put the folder of its data into `data_dir`.

    A download that was cut off is kept as ``<name>.part``, and the next call continues it. The archive is unpacked
    only if its checksum is right, and nothing is written outside of `data_dir`.

    Args:
        mirrors: Addresses, tried in this order; each ends with the name of an archive.
        archives: The published archives. All of them contain the same data, for example one as pickles and one as
            binary files.
        data_dir: The folder into which the archive's folder is put; it is created if it is missing.

    Raises:
        DownloadError: If the whole archive could not be downloaded from any address.
        UserError: If an address does not end with the name of a published archive, or if a downloaded archive does not
            have the published checksum, is damaged, or would write outside of `data_dir`.
    """
    by_name = {archive.name: archive for archive in archives}
    unknown = [mirror for mirror in mirrors if mirror.rpartition("/")[2] not in by_name]
    if unknown:
        raise UserError(f"mirrors: {unknown[0]} does not end with a published archive's name ({', '.join(by_name)})")
    data_dir.mkdir(parents=True, exist_ok=True)
    failures, changed = [], False
    with FileLock(data_dir / ".download.lock"):
        if any((data_dir / archive.folder).is_dir() for archive in archives):
            return  # another process has downloaded the archive in the meantime
        for mirror in mirrors:
            archive = by_name[mirror.rpartition("/")[2]]
            part = data_dir / f"{archive.name}.part"
            try:
                found = _download_part(mirror, part, archive.sha256)
            except (OSError, http.client.HTTPException) as error:
                failures.append(f"{mirror}: {' '.join(str(error).split()) or type(error).__name__}")
                continue
            if found == archive.sha256:
                _unpack(part, archive, data_dir)
                part.unlink()
                return
            part.unlink()
            changed = True
            failures.append(f"{mirror}: expected sha256 {archive.sha256}, found {found}")
    what = "is not the published archive" if changed else "could not be downloaded"
    raise (UserError if changed else DownloadError)(
        f"{' or '.join(by_name)} {what} ({'; '.join(failures) or 'no mirrors given'}): run again, which continues an "
        "interrupted download; set mirrors to other addresses; or unpack the archive by hand into "
        f"{data_dir.absolute()}"
    )


def describe_remedy(folder: Path) -> str:
    """Return, for an error message, what the user can do to get the published data set into `folder`."""
    remove = f"remove {folder.absolute()} and " if folder.exists() else ""
    return f"{remove}run again with --data.download true"


def _download_part(url: str, part: Path, sha256: str) -> str:
    """Download into the file `part`, or continue an earlier download in it; return the file's sha256."""
    resumed = part.exists()
    download(url, part)
    found = compute_sha256(part)
    if found != sha256 and resumed:  # the existing part may have belonged to another file
        part.unlink()
        download(url, part)
        found = compute_sha256(part)
    return found


def _unpack(path: Path, archive: Archive, data_dir: Path) -> None:
    with tempfile.TemporaryDirectory(dir=data_dir, prefix="unpack-") as scratch:
        try:
            if archive.name.endswith(".zip"):
                with zipfile.ZipFile(path) as packed:
                    for member in packed.infolist():
                        _refuse_outside(member)
                    packed.extractall(scratch)
            else:
                with tarfile.open(path) as tar:
                    tar.extractall(scratch, filter="data")  # refuses devices, and paths outside of the folder
        except (tarfile.TarError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{archive.name} was not unpacked: {' '.join(str(error).split())}; set other mirrors"
            ) from error
        os.replace(Path(scratch) / archive.folder, data_dir / archive.folder)


def _refuse_outside(member: zipfile.ZipInfo) -> None:
    parts = member.filename.replace("\\", "/").split("/")
    link = stat.S_ISLNK(member.external_attr >> 16)
    if link or ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise zipfile.BadZipFile(
            f"{member.filename!r} {'is a link' if link else 'would be written outside of the folder'}"
        )
