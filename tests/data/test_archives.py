import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kdlight.data import cifar
from kdlight.data.archives import fetch_archive
from kdlight.data.cifar import CIFAR100DataModule
from kdlight.data.cifar_files import CIFAR100, Layout


def packed(path: Path, folder: Path) -> str:
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, folder.name)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_download_fetches_what_is_missing_once(
    tmp_path: Path,
    write_cifar: Callable[..., Path],
    publish: Callable[[Path, Layout], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = write_cifar(CIFAR100[0])
    publish(source, CIFAR100[0])
    archive = tmp_path / "cifar-100-binary.tar.gz"
    monkeypatch.setattr(CIFAR100DataModule, "archive", (archive.name, packed(archive, source / "cifar-100-binary")))
    monkeypatch.setattr(cifar, "ADDRESS", tmp_path.as_uri())
    data_dir = tmp_path / "new" / "data"
    CIFAR100DataModule(str(data_dir)).prepare_data()
    assert not data_dir.exists()
    module = CIFAR100DataModule(str(data_dir), download=True, val_size=10)
    module.prepare_data()
    assert [path.name for path in data_dir.iterdir()] == ["cifar-100-binary"]
    archive.unlink()
    module.prepare_data()
    module.setup("fit")
    assert module.train_size == 30


def test_another_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cifar").mkdir()
    archive = tmp_path / "a.tar.gz"
    packed(archive, tmp_path / "cifar")
    with pytest.raises(ValueError, match="is not the published archive: invalid hash value"):
        fetch_archive(archive.as_uri(), "0" * 64, "cifar", tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_failed_download_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=r"could not be downloaded .*: check the network, or unpack it into"):
        fetch_archive((tmp_path / "none.tar.gz").as_uri(), "0" * 64, "cifar", tmp_path / "data")


def test_an_archive_cannot_write_outside(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("../../escaped")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"no"))
    with pytest.raises(tarfile.OutsideDestinationError):
        fetch_archive(archive.as_uri(), hashlib.sha256(archive.read_bytes()).hexdigest(), "cifar", tmp_path / "data")
    assert not list(tmp_path.rglob("escaped"))
