"""A fit of each family of shipped experiments, for two steps on tiny stand-ins of its data, has measured the PID."""

import json
from collections.abc import Callable

import pandas as pd
import pytest

from kdlight.__main__ import main
from kdlight.data.sources.cifar_files import CIFAR10, CIFAR100
from tests.data.conftest import write_cifar  # noqa: F401  # a fixture
from tests.data.image_sets import write_cub, write_folder, write_tiny_imagenet

UNTRAINED = ["--model.teacher_weights=null", "--model.untrained_teacher=true"]
ACCEPTED = ["--data.accept_modified=true"]


def of_cifar(layouts: tuple, classes: int) -> Callable:  # type: ignore[type-arg]
    return lambda folder, write: write(layouts[0], classes=classes)


def of_images(write_images: Callable, **counts: int) -> Callable:  # type: ignore[type-arg]
    return lambda folder, write: write_images(folder, **counts)


# by family: a configuration, how its data are written, further options, the key of the measurement
FAMILIES = {
    "digits": (["digits/kd.yaml"], None, [], "pid"),
    "cifar10": (["cifar10/kd.yaml"], of_cifar(CIFAR10, 10), [*ACCEPTED, "--data.val_size=40"], "pid"),
    "cifar100": (
        ["cifar100/kd.yaml"],
        of_cifar(CIFAR100, 20),
        [*ACCEPTED, "--data.val_size=20", "--data.train_per_class=null"],
        "pid",
    ),
    "pairs": (["pairs/resnet56-resnet20.yaml", "methods/cakd.yaml"], of_cifar(CIFAR100, 20), ACCEPTED, "pid_train"),
    "tiny_imagenet": (
        ["tiny_imagenet/kd.yaml"],
        of_images(write_tiny_imagenet, train=20, test=6),
        [*ACCEPTED, "--data.val_size=15", "--data.num_classes=3"],
        "pid",
    ),
    "imagenet": (
        ["imagenet/kd.yaml"],
        lambda folder, _: write_folder(folder, train=20, test=6, test_folder="val"),
        [*ACCEPTED, "--data.num_classes=3", "--data.image_size=64"],
        "pid_train",
    ),
    "cub": (
        ["cub/vid.yaml"],
        of_images(write_cub, each=24),
        [*ACCEPTED, "--data.val_size=20", "--data.image_size=64", "--model.optimizer.lr=1e-4"],
        "pid",
    ),
    "photographs": (
        ["photographs/kd.yaml"],
        of_images(write_folder, train=20, test=6),
        ["--data.image_size=64"],
        "pid",
    ),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:not the published data set")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_fit_of_each_family_measures_the_pid(family, tmp_path, monkeypatch, write_cifar):  # noqa: F811
    configs, write, options, key = FAMILIES[family]
    monkeypatch.chdir(tmp_path)
    if write is not None:
        options = [*options, f"--data.data_dir={write(tmp_path, write_cifar)}"]
    arguments = [
        *(f"--config={file}" for file in configs),
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=2",
        "--trainer.default_root_dir=run",
        "--trainer.accelerator=cpu",
        "--data.batch_size=8",
        *UNTRAINED,
        *options,
    ]
    assert main(["fit", *arguments]) == 0
    logged = set(pd.read_csv(tmp_path / "run" / "metrics.csv").columns)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    stages = result["pid_test"]
    assert "logits" in stages
    assert len(stages) == 2, "the deepest stage and the logits"
    for stage, values in stages.items():
        assert {f"{key}/{stage}/label_entropy", f"{key}/{stage}/cap_teacher"} <= logged
        assert values["label_entropy"] > 0
    assert f"{key}/label_entropy" in logged, "and the bounds that hold for all stages"
