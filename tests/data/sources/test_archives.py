"""Downloads from a server on the loopback address: mirrors, resuming, sums, unpacking."""

import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kdlight.data.cifar import CIFAR100DataModule
from kdlight.data.cub import CUBDataModule
from kdlight.data.sources import archives
from kdlight.data.sources.archives import Archive, fetch_archive
from kdlight.data.sources.cifar_files import CIFAR100, Layout
from kdlight.data.tiny_imagenet import TinyImageNetDataModule
from tests.server import Server


def tarred(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def zipped(members: dict[str, bytes], *, links: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = ((stat.S_IFLNK if links else stat.S_IFREG) | 0o644) << 16
            packed.writestr(member, content)
    return stream.getvalue()


GOOD = tarred({"set/a.bin": bytes(range(256)) * 4000, "set/b.txt": b"b"})


def archive(content: bytes = GOOD, name: str = "set.tar.gz") -> Archive:
    return Archive(name, hashlib.sha256(content).hexdigest(), "set")


def fetch(server: Server, data_dir: Path, wanted: Archive, *mirrors: str) -> None:
    fetch_archive(mirrors or (server.url(wanted.name),), (wanted,), data_dir)


def contents(data_dir: Path) -> list[str]:
    return sorted(
        path.relative_to(data_dir).as_posix() for path in data_dir.rglob("*") if path.name != ".download.lock"
    )


@pytest.mark.parametrize("pack", [tarred, zipped])
def test_an_archive_is_fetched_checked_and_unpacked(
    pack: Callable[[dict[str, bytes]], bytes], server: Server, tmp_path: Path
) -> None:
    content = pack({"set/a.bin": b"1234", "set/in/b.txt": b"b", "beside.txt": b"no"})
    name = "set.zip" if pack is zipped else "set.tar.gz"
    server.files[name] = content
    fetch(server, tmp_path / "data", archive(content, name))
    assert contents(tmp_path / "data") == ["set", "set/a.bin", "set/in", "set/in/b.txt"]
    assert (tmp_path / "data/set/a.bin").read_bytes() == b"1234"


def test_a_download_goes_on_where_it_was_cut_off(server: Server, tmp_path: Path) -> None:
    server.files["set.tar.gz"] = GOOD
    server.cut = [1000]
    with pytest.raises(ConnectionError, match=rf"cut off after 1000 of {len(GOOD)} bytes\): run again, which"):
        fetch(server, tmp_path, archive())
    assert contents(tmp_path) == ["set.tar.gz.part"]
    fetch(server, tmp_path, archive())
    assert [asked for _, asked in server.asked] == [None, "bytes=1000-"]
    assert contents(tmp_path) == ["set", "set/a.bin", "set/b.txt"]


def test_a_server_without_ranges_sends_the_whole(server: Server, tmp_path: Path) -> None:
    server.files["set.tar.gz"], server.ranges = GOOD, False
    (tmp_path / "set.tar.gz.part").write_bytes(GOOD[:1000])
    fetch(server, tmp_path, archive())
    assert len(server.asked) == 1
    assert (tmp_path / "set/b.txt").read_bytes() == b"b"


def test_what_was_already_whole_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    server.files["set.tar.gz"] = GOOD
    (tmp_path / "set.tar.gz.part").write_bytes(GOOD)
    fetch(server, tmp_path, archive())
    assert server.asked == [("/set.tar.gz", f"bytes={len(GOOD)}-")]
    assert (tmp_path / "set/b.txt").is_file()


@pytest.mark.parametrize("length", [1000, len(GOOD), len(GOOD) + 1])
def test_the_remains_of_something_else_are_fetched_anew(length: int, server: Server, tmp_path: Path) -> None:
    server.files["set.tar.gz"] = GOOD
    (tmp_path / "set.tar.gz.part").write_bytes(b"x" * length)
    fetch(server, tmp_path, archive())
    assert [asked for _, asked in server.asked] == [f"bytes={length}-", None]
    assert contents(tmp_path) == ["set", "set/a.bin", "set/b.txt"]


def test_the_next_mirror_goes_on_after_a_dead_and_a_broken_one(server: Server, tmp_path: Path) -> None:
    server.files["b/set.tar.gz"] = server.files["c/set.tar.gz"] = GOOD
    server.cut = [2000]
    dead = "http://127.0.0.1:9/set.tar.gz"  # the port of 'discard', which nothing listens on
    mirrors = (dead, *(server.url(f"{folder}/set.tar.gz") for folder in "abc"))
    fetch(server, tmp_path, archive(), *mirrors)
    assert server.asked == [("/a/set.tar.gz", None), ("/b/set.tar.gz", None), ("/c/set.tar.gz", "bytes=2000-")]
    assert (tmp_path / "set/b.txt").is_file()


def test_processes_that_want_the_same_fetch_it_once(server: Server, tmp_path: Path) -> None:
    server.files["set.tar.gz"] = GOOD
    threads = [threading.Thread(target=fetch, args=(server, tmp_path, archive())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 1
    assert contents(tmp_path) == ["set", "set/a.bin", "set/b.txt"]


def test_another_archive_is_refused(server: Server, tmp_path: Path) -> None:
    server.files["set.tar.gz"] = tarred({"set/a": b"something else"})
    found = hashlib.sha256(server.files["set.tar.gz"]).hexdigest()
    message = rf"set.tar.gz is not the published archive .*: expected sha256 {archive().sha256}, found {found}\)"
    with pytest.raises(ValueError, match=message) as caught:
        fetch(server, tmp_path, archive())
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == []


def test_where_nothing_answers_every_mirror_is_named(server: Server, tmp_path: Path) -> None:
    mirrors = [server.url(f"{folder}/set.tar.gz") for folder in "ab"]
    message = (
        rf"{mirrors[0]}: HTTP Error 404: Not Found; {mirrors[1]}: HTTP.*unpack the archive by hand into {tmp_path}"
    )
    with pytest.raises(ConnectionError, match=message):
        fetch(server, tmp_path, archive(), *mirrors)
    assert contents(tmp_path) == []


def test_an_address_of_something_else_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"other.zip does not end with a published archive's name \(set.tar.gz\)"):
        fetch(server, tmp_path, archive(), server.url("other.zip"))
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.tar.gz", tarred({"set/a": b"a", "../../escaped": b"no"})),
        ("set.zip", zipped({"set/a": b"a", "../../escaped": b"no"})),
        ("set.zip", zipped({"set/a": b"a", "/tmp/escaped": b"no"})),
        ("set.zip", zipped({"set/a": b"a", "set\\..\\..\\escaped": b"no"})),
        ("set.zip", zipped({"set/escaped": b"/etc"}, links=True)),
        ("set.zip", b"no archive at all"),
        ("set.tar.gz", b"no archive at all"),
    ],
)
def test_an_archive_cannot_write_outside(name: str, content: bytes, server: Server, tmp_path: Path) -> None:
    server.files[name] = content
    data_dir = tmp_path / "in" / "data"
    with pytest.raises(ValueError, match=f"{name} was not unpacked: .*; set other mirrors"):
        fetch(server, data_dir, archive(content, name))
    assert not list(tmp_path.rglob("*escaped*"))
    assert not (data_dir / "set").exists()


def test_only_what_is_missing_is_fetched_and_only_if_asked(
    write_cifar: Callable[..., Path],
    publish: Callable[[Path, Layout], None],
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    tmp_path: Path,
) -> None:
    layout = CIFAR100[1]
    source = write_cifar(layout)
    publish(source, layout)
    members = {f"{layout.folder}/{path.name}": path.read_bytes() for path in (source / layout.folder).iterdir()}
    content = server.files["cifar-100-python.tar.gz"] = tarred(members)
    known = Archive("cifar-100-python.tar.gz", hashlib.sha256(content).hexdigest(), layout.folder)
    monkeypatch.setattr(CIFAR100DataModule, "archives", (known,))
    data_dir, mirrors = tmp_path / "new" / "data", [server.url(known.name)]
    CIFAR100DataModule(str(data_dir), mirrors=mirrors).prepare_data()
    assert not data_dir.exists()
    module = CIFAR100DataModule(str(data_dir), download=True, mirrors=mirrors, val_size=10)
    module.prepare_data()
    module.prepare_data()
    assert len(server.asked) == 1
    module.setup("fit")
    assert module.train_size == 30


@pytest.mark.parametrize("data_module", [CIFAR100DataModule, TinyImageNetDataModule, CUBDataModule])
def test_published_archives_are_asked_for_at_each_address(
    data_module: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def download(url: str, part: Path) -> None:
        asked.append(url)
        raise OSError("no network in tests")

    monkeypatch.setattr(archives, "download", download)
    module = data_module(str(tmp_path), download=True)
    with pytest.raises(ConnectionError, match="no network in tests"):
        module.prepare_data()
    assert asked == list(module.mirrors)
    assert len(asked) == 2
