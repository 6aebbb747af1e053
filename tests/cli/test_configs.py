"""Every shipped YAML is composed, parsed and instantiated; pairs and methods combine in either order."""

from pathlib import Path

import pytest
import torch
import yaml

from kdlight.cli.compose import compose
from kdlight.cli.imports import imported
from kdlight.cli.run import KdlightCLI
from kdlight.methods.learner import Learner

ROOT = Path(__file__).parents[2] / "configs"
FILES = sorted(ROOT.rglob("*.yaml"))
WHOLE = [
    file for file in FILES if {"data", "model"} <= compose([file]).keys() and "class_path" in compose([file])["model"]
]
PARTS = [file for file in FILES if file not in WHOLE]
METHODS = [file for file in PARTS if file.parent.name == "methods"]
DIGITS = [ROOT / "data/digits.yaml", ROOT / "digits/pair.yaml"]


class Built(KdlightCLI):
    """Everything up to the run."""

    def _run_subcommand(self, subcommand):
        pass


def build(files, *options):
    """The instantiated experiment; weights that it names are made first, in the current folder."""
    composed = compose(files)
    classes = imported(composed["data"]["class_path"])()
    holders = [composed["model"], *((composed.get("trainer") or {}).get("callbacks") or [])]
    for arguments in (holder.get("init_args", {}) for holder in holders):
        for network in ("teacher", "student"):
            if f"{network}_weights" in arguments:
                spec, path = arguments[network], Path(arguments[f"{network}_weights"])
                path.parent.mkdir(parents=True, exist_ok=True)
                made = imported(spec["class_path"])(
                    classes.num_classes, classes.image_shape, **spec.get("init_args", {})
                )
                torch.save(made.state_dict(), path)
    flags = [flag for file in files for flag in ("--config", str(file))]
    return Built(["fit", *flags, *options])


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def resolved(experiment):
    return yaml.safe_load(experiment._parser("fit").dump(experiment.config["fit"]))


@pytest.mark.parametrize("file", WHOLE, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_experiment_is_built(file):
    experiment = build([file])
    assert isinstance(experiment.model, Learner)
    assert experiment.model.student.num_classes == experiment.datamodule.num_classes
    text = file.read_text()
    assert text.startswith("# kdlight "), "a whole experiment opens with its command"
    assert str(file.relative_to(ROOT.parent)) in text.splitlines()[0]
    assert len([line for line in text.splitlines() if not line.startswith("#")]) < 20


@pytest.mark.parametrize("file", METHODS, ids=lambda file: file.stem)
def test_a_method_combines_with_a_pair_in_either_order(file):
    if "Supervised" in file.read_text():
        pytest.skip("has no teacher, so no pair")
    first, second = build([*DIGITS, file]), build([file, *DIGITS])
    assert type(first.model) is type(second.model)
    configurations = [resolved(experiment) for experiment in (first, second)]
    for configuration in configurations:
        configuration["trainer"].pop("default_root_dir")
    assert configurations[0] == configurations[1]


@pytest.mark.parametrize(
    "file", [file for file in PARTS if file not in METHODS], ids=lambda file: str(file.relative_to(ROOT))
)
def test_a_part_fits_into_an_experiment(file):
    data = next((name for name in ("cifar100", "cifar10") if name in str(file) or name in file.read_text()), "digits")
    base = [ROOT / f"data/{data}.yaml", ROOT / "digits/pair.yaml", ROOT / "methods/kd.yaml"]
    assert isinstance(build([*base, file]).model, Learner)
