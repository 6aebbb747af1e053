"""The package: cheap to import, its names reachable from a config."""

import subprocess
import sys

import jsonargparse

from kdlight.models.classifier import Classifier
from kdlight.models.tapped import Tapped
from kdlight.models.zoo.resnet import ResNet


def test_import_is_cheap() -> None:
    code = "import sys, kdlight.models; dir(kdlight.models); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_public_names() -> None:
    import kdlight.models

    assert {"resnet20", "ShuffleV2", "Tapped", "Frozen", "Activations", "Classifier", "load_weights"} <= set(
        dir(kdlight.models)
    )


def parse(*arguments: str) -> Classifier:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--student", type=Classifier)
    student: Classifier = parser.instantiate(parser.parse_args(list(arguments))).student
    return student


def test_class_path_of_a_function() -> None:
    student = parse("--student=kdlight.models.resnet8", "--student.num_classes=4", "--student.shortcut=padding")
    assert isinstance(student, ResNet)
    assert student.num_classes == 4


def test_class_path_of_a_foreign_model() -> None:
    student = parse(
        "--student=kdlight.models.Tapped",
        "--student.model=torchvision.models.resnet18",
        "--student.model.num_classes=4",
        "--student.stages=[layer1,layer2]",
        "--student.embedding=avgpool",
    )
    assert isinstance(student, Tapped)
    assert student.num_classes == 4
