"""Files that are whole or not there, and what is said about one that is not."""

import errno

import pytest
import torch
from safetensors.torch import save_file

from kdlight.errors import UserError
from kdlight.files import DiskFullError, replace_file
from kdlight.runs.checkpoints import AtomicCheckpointIO, report_misfit


class Full:
    """Writes a little, then there is no space."""

    def __reduce__(self):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("written", [False, True])
def test_a_full_disk_leaves_the_last_whole_one(written, tmp_path):
    path = tmp_path / "folder/last.ckpt"
    if written:
        AtomicCheckpointIO().save_checkpoint({"value": torch.ones(2)}, path)
    with pytest.raises(DiskFullError, match="--ckpt_path last" if written else "give the command again") as raised:
        AtomicCheckpointIO().save_checkpoint({"value": torch.zeros(2), "more": Full()}, path)
    assert ("still there" in str(raised.value)) == written
    assert len(str(raised.value).splitlines()) == 1
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"] * written
    if written:
        assert torch.load(path, weights_only=True)["value"].sum() == 2


def test_any_other_fault_is_left_as_it_is(tmp_path):
    def half():
        with replace_file(tmp_path / "file") as draft:
            draft.write_text("half")
            raise FileNotFoundError(errno.ENOENT, "another file")

    with pytest.raises(FileNotFoundError, match="another file"):
        half()
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_with_flipped_bytes_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"value": torch.ones(1000)}, path)
    content = bytearray(path.read_bytes())
    place = content.index(torch.ones(1000).numpy().tobytes()) + 64
    content[place : place + 64] = bytes(255 - byte for byte in content[place : place + 64])
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"last\.ckpt is damaged: the bytes of its record \S+/data/0 do not match"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=True)


@pytest.mark.parametrize("content", [{"weight": torch.ones(2)}, [1, 2], {}, None, torch.ones(3)])
def test_a_file_that_is_no_checkpoint_is_said_to_be_none(content, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    with pytest.raises(UserError, match=r"weights\.pt is no checkpoint of a run.*--model.student_weights"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=True)


def test_safetensors_are_no_checkpoint(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match=r"got safetensors; weights alone are given with"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "weights.safetensors", weights_only=True)
    (tmp_path / "weights.safetensors").rename(tmp_path / "weights.ckpt")
    with pytest.raises(UserError, match=r"weights\.ckpt cannot be read"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "weights.ckpt", weights_only=True)


def test_only_torchs_word_about_other_networks_is_translated():
    narrow, wide = torch.nn.Linear(2, 3), torch.nn.Linear(4, 3)
    misfit = pytest.raises(UserError, match=r"last\.ckpt does not fit .*size mismatch for weight")
    with misfit as raised, report_misfit("last.ckpt"):
        narrow.load_state_dict(wide.state_dict())
    assert len(str(raised.value).splitlines()) <= 3
    with pytest.raises(RuntimeError, match="something else"), report_misfit("last.ckpt"):
        raise RuntimeError("something else")


@pytest.mark.parametrize("bytes_left", [0, 3, 500])
def test_a_truncated_checkpoint_is_named(bytes_left, tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"value": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:bytes_left])
    with pytest.raises(ValueError, match=f"last.ckpt cannot be read.* {bytes_left} bytes") as raised:
        AtomicCheckpointIO().load_checkpoint(path, weights_only=True)
    assert len(str(raised.value).splitlines()) == 1
