"""A folder as a finished run leaves it, without training."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from kdlight.data.image_folder import ImageFolderDataModule
from kdlight.models.foreign import Torchvision
from kdlight.runs.folder import RunFolder
from kdlight.runs.preparation import Preparation
from tests.data.image_sets import write_folder

SIZE = 48


@pytest.fixture
def photographs_run(tmp_path: Path) -> Callable[..., Path]:
    """Makes a run of a small torchvision network on three classes of photographs."""

    def make(name: str = "shufflenet_v2_x0_5", *, teacher: bool = True) -> Path:
        torch.manual_seed(0)
        write_folder(tmp_path / "images", train=8, test=4)
        arguments = {"data_dir": str(tmp_path / "images"), "image_size": SIZE, "num_workers": 0, "batch_size": 8}
        network = {"name": name, "num_classes": 3, "image_shape": [3, SIZE, SIZE]}
        part = {"class_path": "kdlight.models.Torchvision", "init_args": network}
        run = RunFolder(tmp_path / "run")
        run.checkpoints.mkdir(parents=True)
        student = Torchvision(name, 3, (3, SIZE, SIZE))
        norms = [module for module in student.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None  # the mean of what was seen
        with torch.no_grad():  # means and variances as after some training, so that logits differ by about 1
            student.train()(torch.randn(32, 3, SIZE, SIZE))
        weights = {f"student.{key}": value for key, value in student.state_dict().items()}
        torch.save({"state_dict": weights}, run.locate_checkpoint("last"))
        torch.save(student.state_dict(), tmp_path / "teacher.pt")
        taught = {"teacher": part, "teacher_weights": str(tmp_path / "teacher.pt")} if teacher else {}
        method = "kdlight.methods.KD" if teacher else "kdlight.methods.Supervised"
        config = {
            "trainer": {"callbacks": None},
            "model": {"class_path": method, "init_args": {"student": part, **taught}},
            "data": {"class_path": "kdlight.data.ImageFolderDataModule", "init_args": arguments},
        }
        run.config.write_text(yaml.safe_dump(config))
        atoms = {"redundant": 1.2, "unique_teacher": 0.2, "unique_student": 0.01, "synergistic": 0.1}
        result = {
            "method": "KD",
            "student_parameters": sum(parameter.numel() for parameter in student.parameters()),
            "test": {"last": {"accuracy": 0.5, "loss": 1.0}},
            "pid_test": {"logits": atoms},
            "epochs": 1,
            "final": {},
            "seconds": 1.0,
            "train_seconds": 1.0,
            "images_per_second": 1.0,
            "peak_memory": 1,
            "seed": 0,
            "teacher_sha256": "0" * 64,
            "command": "kdlight fit …",
            "git_commit": None,
            "packages": {"torch": torch.__version__},
        }
        run.result.write_text(json.dumps(result))
        Preparation.of(ImageFolderDataModule(**arguments)).write(run.preparation)
        return run.path

    return make
