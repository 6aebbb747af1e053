"""Published weights, fetched from a server on the loopback address."""

import io
import tarfile
from pathlib import Path

import pytest
import torch

from kdlight.downloads import sha256_of
from kdlight.models import published as module
from kdlight.models.published import WEIGHTS, Published, fetch_published
from kdlight.models.weights import load_weights, read_state_dict
from kdlight.models.zoo.resnet import resnet8
from tests.server import Server

NAME = "published:cifar100/resnet8"
FILE = Path("data/weights/cifar100/resnet8_vanilla/ckpt_epoch_240.pth")
MEMBER = "cifar_teachers/resnet8_vanilla/ckpt_epoch_240.pth"


@pytest.fixture
def content() -> bytes:
    stream = io.BytesIO()
    torch.save({"epoch": 240, "model": resnet8(100).state_dict()}, stream)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def entry(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    monkeypatch.chdir(tmp_path)
    addresses = (server.url("resnet8.pth"), server.url("teachers.tar"))
    entry = Published("resnet8", 100, str(FILE.relative_to("data/weights")), addresses, MEMBER)
    monkeypatch.setitem(WEIGHTS, "cifar100/resnet8", entry)
    return entry


def test_weights_are_fetched_once_recorded_and_loaded(
    server: Server, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files["resnet8.pth"] = content
    network = resnet8(100)
    for _ in range(2):
        load_weights(network, NAME)
    assert len(server.asked) == 1
    assert torch.equal(network.conv1.weight, read_state_dict(FILE)["conv1.weight"])
    said = capsys.readouterr().err
    assert said.count("no checksum is published for") == 1
    assert sha256_of(FILE) in said
    assert Path(f"{FILE}.sha256").read_text() == f"{sha256_of(FILE)}  {FILE.name}\n"
    FILE.write_bytes(content[:-1] + b"x")
    with pytest.raises(ValueError, match=r"has changed: expected sha256 \w+, found \w+; remove it"):
        fetch_published(NAME)


def test_a_download_that_was_cut_goes_on(server: Server, content: bytes) -> None:
    server.files["resnet8.pth"], server.cut = content, [1000]
    with pytest.raises(ConnectionError, match="cut off after 1000 of"):
        fetch_published(NAME)
    assert fetch_published(NAME).read_bytes() == content
    assert [wanted for path, wanted in server.asked if path == "/resnet8.pth"] == [None, "bytes=1000-"]


def test_a_wrong_sum_is_refused(
    server: Server, entry: Published, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["resnet8.pth"] = content
    monkeypatch.setitem(WEIGHTS, "cifar100/resnet8", entry._replace(sha256="00000000", addresses=entry.addresses[:1]))
    with pytest.raises(ConnectionError, match=r"expected sha256 00000000…, found \w+"):
        fetch_published(NAME)
    assert not FILE.exists()
    FILE.write_bytes(content)
    with pytest.raises(ValueError, match="has changed: expected sha256 00000000…"):
        fetch_published(NAME)


def test_the_archive_of_another_reference_serves_where_the_first_does_not(server: Server, content: bytes) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = tarfile.TarInfo(MEMBER)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    server.files["teachers.tar"] = stream.getvalue()
    assert fetch_published(NAME).read_bytes() == content


def test_what_is_at_hand_is_used_and_offline_the_message_says_where_it_goes(server: Server, content: bytes) -> None:
    with pytest.raises(ConnectionError) as caught:
        fetch_published(NAME)
    for part in (server.url("resnet8.pth"), "404", f"save it as {FILE.absolute()}"):
        assert part in str(caught.value)
    asked = len(server.asked)
    FILE.write_bytes(content)
    assert fetch_published(NAME) == FILE
    assert len(server.asked) == asked


def test_an_unknown_name_is_answered_with_all_names() -> None:
    with pytest.raises(
        ValueError, match="published:cifar100/resnet57; expected one of cifar100/wrn_40_2, cifar100/res"
    ):
        fetch_published("published:cifar100/resnet57")


@pytest.mark.parametrize("name", [name for name in WEIGHTS if name != "cifar100/resnet8"])
def test_every_published_file_is_asked_for_at_its_address(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches the addresses themselves: the stub refuses, and the message has all of them."""

    def refuse(url: str, part: Path) -> None:
        raise OSError(f"{url} is not for tests")

    monkeypatch.setattr(module, "download", refuse)
    with pytest.raises(ConnectionError) as caught:
        fetch_published(f"published:{name}")
    assert all(f"{address} is not for tests" in str(caught.value) for address in WEIGHTS[name].addresses)
    import kdlight.models

    assert callable(getattr(kdlight.models, WEIGHTS[name].network.partition(",")[0]))
