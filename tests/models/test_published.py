"""Published weights, fetched from a server on the loopback address."""

import hashlib
import io
import re
import tarfile
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
import torch

import kdlight.models
from kdlight.downloads import compute_sha256
from kdlight.models.published import WEIGHTS, PublishedWeights, fetch_published
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
def entry(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PublishedWeights:
    monkeypatch.chdir(tmp_path)
    addresses = (server.url("resnet8.pth"), server.url("teachers.tar"))
    entry = PublishedWeights("resnet8", 100, str(FILE.relative_to("data/weights")), addresses, MEMBER)
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
    assert compute_sha256(FILE) in said
    assert Path(f"{FILE}.sha256").read_text() == f"{compute_sha256(FILE)}  {FILE.name}\n"
    FILE.write_bytes(content[:-1] + b"x")
    with pytest.raises(ValueError, match=r"has changed: expected sha256 \w+, found \w+; remove the file"):
        fetch_published(NAME)


def test_a_download_that_was_cut_goes_on(server: Server, content: bytes) -> None:
    server.files["resnet8.pth"], server.cut = content, [1000]
    with pytest.raises(ConnectionError, match="cut off after 1000 of"):
        fetch_published(NAME)
    assert fetch_published(NAME).read_bytes() == content
    assert [wanted for path, wanted in server.asked if path == "/resnet8.pth"] == [None, "bytes=1000-"]


def test_a_wrong_sum_is_refused(
    server: Server, entry: PublishedWeights, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["resnet8.pth"] = content
    monkeypatch.setitem(WEIGHTS, "cifar100/resnet8", entry._replace(sha256="00000000", addresses=entry.addresses[:1]))
    with pytest.raises(ConnectionError, match=r"expected sha256 00000000…, found \w+"):
        fetch_published(NAME)
    assert not FILE.exists()
    FILE.write_bytes(content)
    with pytest.raises(ValueError, match="has changed: expected sha256 00000000…"):
        fetch_published(NAME)


def test_the_second_address_is_asked_if_the_first_fails(server: Server, content: bytes) -> None:
    server.files["teachers.tar"] = packed(MEMBER, content)
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


ADDRESSES = [(name, address) for name in WEIGHTS for address in WEIGHTS[name].addresses if "resnet8" not in name]


@pytest.mark.parametrize(("name", "address"), ADDRESSES)
def test_every_address_gives_its_file_through_a_stub_and_a_cut_download_goes_on(
    name: str, address: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test reaches the addresses themselves: the server on the loopback address answers for them."""
    asked = []

    def ask_the_stub(request: urllib.request.Request, **options: object) -> object:
        asked.append(request.full_url)
        instead = server.url(quote(request.full_url, safe=""))
        return urlopen(urllib.request.Request(instead, headers=dict(request.headers)), **options)  # type: ignore[arg-type]

    urlopen = urllib.request.urlopen
    monkeypatch.setattr(urllib.request, "urlopen", ask_the_stub)
    entry, content = WEIGHTS[name], f"weights of {name}".encode()
    if entry.sha256:  # the published sum is that of the published file
        monkeypatch.setitem(WEIGHTS, name, entry._replace(sha256=hashlib.sha256(content).hexdigest()[:8]))
    sent = packed(entry.member, content) if address.endswith(".tar") else content
    server.files[quote(address, safe="")], server.cut = sent, [9]
    with pytest.raises(ConnectionError, match=f"{re.escape(address)}: cut off after 9 of {len(sent)} bytes"):
        fetch_published(f"published:{name}")
    assert fetch_published(f"published:{name}").read_bytes() == content
    assert set(asked) <= set(entry.addresses)
    assert [wanted for path, wanted in server.asked if path == f"/{quote(address, safe='')}"] == [None, "bytes=9-"]
    assert callable(getattr(kdlight.models, entry.network.partition(",")[0]))


def packed(member: str, content: bytes) -> bytes:
    """An archive with one file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        description = tarfile.TarInfo(member)
        description.size = len(content)
        tar.addfile(description, io.BytesIO(content))
    return stream.getvalue()
