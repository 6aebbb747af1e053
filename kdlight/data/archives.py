"""Fetches a published archive, checks it, unpacks it."""

import shutil
import tarfile
import tempfile
from pathlib import Path

import torch


def fetch_archive(url: str, sha256: str, folder: str, data_dir: Path) -> None:
    """Downloads a tar archive and puts its one `folder` into `data_dir`, whole or not at all.

    Nothing is unpacked before the checksum fits, and nothing outside of `data_dir` is ever written: Python's ``data``
    filter refuses absolute and upward paths, links that lead outside, and devices.

    Args:
        url: where the archive is published.
        sha256: the published archive's.
        folder: the folder in the archive that is wanted.
        data_dir: where it goes; made if missing.

    Raises:
        ConnectionError: where the download fails.
        ValueError: where the archive is not the published one.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_dir, prefix="download-") as scratch:
        archive = Path(scratch) / "archive.tar.gz"
        try:
            torch.hub.download_url_to_file(url, str(archive), hash_prefix=sha256)
        except OSError as error:
            raise ConnectionError(
                f"{url} could not be downloaded ({error}): check the network, or unpack it into {data_dir} by hand"
            ) from error
        except RuntimeError as error:
            raise ValueError(f"{url} is not the published archive: {error}; try again, it may be cut off") from error
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        shutil.move(Path(scratch) / folder, data_dir / folder)
