"""Download files. A download that was cut off continues where it stopped, unlike in torch.hub and pooch."""

import hashlib
import http
import http.client
import sys
import urllib.error
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from kdlight.errors import UserError

CHUNK = 1 << 18
TIMEOUT = 30  # a download counts as cut off after this many seconds without a byte


class DownloadError(UserError, ConnectionError):
    """None of a file's addresses delivered the file."""


def download(url: str, part: Path) -> None:
    """Download an address into a file. If the file exists, only the bytes that it lacks are requested.

    Args:
        url: The address.
        part: The file. If the download is cut off, the file keeps the bytes received so far.

    Raises:
        OSError: If there is no connection, the server refuses, or the download is cut off.
        http.client.HTTPException: If the answer is not valid HTTP, or a chunked answer is cut off.
    """
    start = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "kdlight", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # The file is complete or too long: the caller compares its checksum.
        raise
    with response, part.open("ab") as stream:
        # A server that ignores the Range header sends the whole file, which then replaces the old bytes.
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            stream.truncate(start := 0)
        size = response.headers.get("Content-Length")
        total = None if size is None else start + int(size)
        console = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        with Progress(*columns, TimeRemainingColumn(), console=console, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task(url.rpartition("/")[2], total=total, completed=start)
            while data := response.read(CHUNK):
                stream.write(data)
                progress.advance(task, len(data))
    received = part.stat().st_size
    if total is not None and received < total:
        raise ConnectionError(f"cut off after {received} of {total} bytes")


def compute_sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
