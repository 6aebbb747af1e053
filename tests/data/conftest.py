"""Tiny data sets in the published layouts of CIFAR."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import kdlight  # noqa: F401  # before lightning and torchvision
from kdlight.data.sources.cifar_files import Layout

PER_FILE = 40


def python2_pickle(value: object) -> bytes:
    """`value` as Python 2 wrote it: byte strings, numpy's old module path."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value: object) -> bytes:
    if isinstance(value, dict):
        return b"}(" + b"".join(_opcodes(part) for item in value.items() for part in item) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_opcodes, value)) + b"e"
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode()
    if isinstance(value, int):
        return b"K" + bytes([value]) if value < 256 else b"M" + value.to_bytes(2, "little")
    assert isinstance(value, np.ndarray)
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    raw = value.tobytes()
    shape = b"".join(map(_opcodes, value.shape)) + b"\x86"
    return empty + b"(K\x01" + shape + dtype + b"\x89T" + len(raw).to_bytes(4, "little") + raw + b"tb"


def encode(layout: Layout, pixels: np.ndarray, labels: dict[str, np.ndarray]) -> bytes:
    """One file of a layout."""
    if None in layout.labels.values():
        return np.concatenate([*(labels[name][:, None] for name in layout.labels), pixels], axis=1).tobytes()
    return python2_pickle({"data": pixels, **{str(key): labels[name].tolist() for name, key in layout.labels.items()}})


@pytest.fixture
def write_cifar(tmp_path: Path) -> Callable[..., Path]:
    """Writes a layout's files, 40 images each, into a folder and returns that; the same images whatever the layout."""

    def write(layout: Layout, *, classes: int = 10) -> Path:
        folder = tmp_path / layout.folder
        folder.mkdir()
        for place, name in enumerate([*layout.train, *layout.test]):
            random = np.random.default_rng(place)
            pixels = random.integers(0, 256, (PER_FILE, 3072), dtype=np.uint8)
            target = (np.arange(PER_FILE) % classes).astype(np.uint8)
            (folder / name).write_bytes(encode(layout, pixels, {"target": target, "coarse": target // 5}))
        return tmp_path

    return write


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Layout], None]:
    """Makes the checksums of the files below a folder the published ones, for the time of a test."""

    def patch(data_dir: Path, layout: Layout) -> None:
        for files in (layout.train, layout.test):
            for name in files:
                content = (data_dir / layout.folder / name).read_bytes()
                monkeypatch.setitem(files, name, hashlib.new(layout.algorithm, content).hexdigest())

    return patch
