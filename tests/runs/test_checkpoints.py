"""Files that are whole or not there, and what is said about one that is not."""

import errno

import pytest
import torch

from kdlight.errors import UserError
from kdlight.files import DiskFullError, replacing
from kdlight.runs.checkpoints import WholeCheckpoints


class Full:
    """Writes a little, then there is no space."""

    def __reduce__(self):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("written", [False, True])
def test_a_full_disk_leaves_the_last_whole_one(written, tmp_path):
    path = tmp_path / "folder/last.ckpt"
    if written:
        WholeCheckpoints().save_checkpoint({"value": torch.ones(2)}, path)
    with pytest.raises(DiskFullError, match="--ckpt_path last" if written else "give the command again") as raised:
        WholeCheckpoints().save_checkpoint({"value": torch.zeros(2), "more": Full()}, path)
    assert ("still there" in str(raised.value)) == written
    assert len(str(raised.value).splitlines()) == 1
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"] * written
    if written:
        assert WholeCheckpoints().load_checkpoint(path)["value"].sum() == 2


def test_any_other_fault_is_left_as_it_is(tmp_path):
    def half():
        with replacing(tmp_path / "file") as draft:
            draft.write_text("half")
            raise FileNotFoundError(errno.ENOENT, "another file")

    with pytest.raises(FileNotFoundError, match="another file"):
        half()
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_with_flipped_bytes_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"value": torch.ones(1000)}, path)
    content = bytearray(path.read_bytes())
    place = content.index(torch.ones(1000).numpy().tobytes()) + 64
    content[place : place + 64] = bytes(255 - byte for byte in content[place : place + 64])
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"last\.ckpt is damaged: the bytes of its record \S+/data/0 do not match"):
        WholeCheckpoints().load_checkpoint(path, weights_only=True)


@pytest.mark.parametrize("bytes_left", [0, 3, 500])
def test_a_truncated_checkpoint_is_named(bytes_left, tmp_path):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"value": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:bytes_left])
    with pytest.raises(ValueError, match=f"last.ckpt cannot be read.* {bytes_left} bytes") as raised:
        WholeCheckpoints().load_checkpoint(path, weights_only=True)
    assert len(str(raised.value).splitlines()) == 1
