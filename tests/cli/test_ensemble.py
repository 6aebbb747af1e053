"""Several teachers in a configuration: each member gets the data's classes and its own weights."""

from pathlib import Path

import pytest
import torch
import yaml

from kdlight.cli.build import build_experiment
from kdlight.models.zoo.resnet import resnet8, resnet14

ROOT = Path(__file__).parents[2] / "configs"
MEMBERS = {"a.pt": resnet8, "b.pt": resnet14}


@pytest.fixture
def config(tmp_path):
    for path, network in MEMBERS.items():
        torch.save(network(10, (1, 8, 8)).state_dict(), tmp_path / path)
    members = [{"class_path": f"kdlight.models.{network.__name__}"} for network in MEMBERS.values()]
    arguments = {"members": members, "weights": [str(tmp_path / path) for path in MEMBERS]}
    teacher = {"class_path": "kdlight.models.Ensemble", "init_args": arguments}
    model = {"init_args": {"student": {"class_path": "kdlight.models.resnet8"}, "teacher": teacher}}
    (tmp_path / "ensemble.yaml").write_text(yaml.safe_dump({"model": model}))
    files = [ROOT / "data/digits.yaml", tmp_path / "ensemble.yaml", ROOT / "methods/kd.yaml"]
    return [*(flag for file in files for flag in ("--config", str(file)))]


def test_members_are_filled_and_loaded(config, tmp_path):
    members = build_experiment("fit", config).method.teacher.model.members
    assert [member.image_shape for member in members] == [(1, 8, 8)] * 2
    for member, path in zip(members, MEMBERS, strict=True):
        stored = torch.load(tmp_path / path, weights_only=True)
        assert all(torch.equal(value, stored[name]) for name, value in member.state_dict().items())


def test_members_with_weights_need_no_others(config):
    with pytest.raises(ValueError, match="got more than one of these"):
        build_experiment("fit", [*config, "--model.untrained_teacher", "true"])
