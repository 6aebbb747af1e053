"""A run that lies on the disk: which weights its networks get."""

import pytest
import torch
import yaml

from kdlight.__main__ import main
from kdlight.errors import MissingFileError
from kdlight.models import resnet8
from kdlight.runs.folder import RunFolder
from kdlight.workbench.finished_runs import Run

SHAPE = (1, 8, 8)


@pytest.fixture
def folder(tmp_path):
    """A run whose last weights are ones and whose selected weights are twos."""
    folder = RunFolder(tmp_path / "run")
    folder.checkpoints.mkdir(parents=True)
    for number, name in enumerate(("last", "best"), 1):
        weights = resnet8(10, SHAPE).state_dict()
        filled = {f"student.{key}": torch.full_like(value, number) for key, value in weights.items()}
        torch.save({"state_dict": filled}, folder.locate_checkpoint(name))
    network = {"class_path": "kdlight.models.resnet8", "init_args": {"num_classes": 10, "image_shape": list(SHAPE)}}
    folder.config.write_text(yaml.safe_dump({"model": {"init_args": {"student": network}}, "trainer": {}, "data": {}}))
    return folder


def value_of(run):
    (value,) = {value for tensor in run.student().state_dict().values() for value in tensor.unique().tolist()}
    return value


def test_the_weights_are_the_last_ones_unless_others_are_asked_for(folder):
    assert value_of(Run(folder.path)) == 1
    assert value_of(Run(folder.path, "best")) == 2
    assert value_of(Run(folder.locate_checkpoint("best"))) == 2


def test_weights_that_are_not_there(folder, capsys):
    folder.locate_checkpoint("best").unlink()
    with pytest.raises(MissingFileError, match=r"best\.ckpt does not exist: expected a run that selected weights"):
        Run(folder.path, "best").student()
    assert main(["pid", f"--student={folder.path}", "--weights=best"]) == 2
    assert "best.ckpt does not exist" in capsys.readouterr().err
    folder.locate_checkpoint("last").unlink()
    with pytest.raises(MissingFileError, match="has no checkpoint"):
        Run(folder.path).student()
