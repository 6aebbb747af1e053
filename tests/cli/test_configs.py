"""Every shipped YAML is composed, parsed and instantiated; pairs and methods combine in either order."""

import inspect
import math
from pathlib import Path

import pytest
import torch
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException

from kdlight.cli.build import build_experiment, parse
from kdlight.cli.compose import compose, merge
from kdlight.cli.imports import import_object
from kdlight.cli.objects import build_object
from kdlight.methods.base.learner import Learner
from kdlight.models.classifier import Classifier
from kdlight.models.published import is_published

ROOT = Path(__file__).parents[2] / "configs"
OTHERS = ("grids", "sweeps")  # for `kdlight ablate`, and for W&B
FILES = sorted(file for file in ROOT.rglob("*.yaml") if file.parent.name not in OTHERS)
WHOLE = [
    file for file in FILES if {"data", "model"} <= compose([file]).keys() and "class_path" in compose([file])["model"]
]
PARTS = [file for file in FILES if file not in WHOLE]
COMBINATIONS = [file for file in PARTS if "+" in file.stem]
METHODS = [file for file in PARTS if file.parent.name == "methods"]
PAIRS = [file for file in PARTS if file.parent.name == "pairs" and file not in COMBINATIONS]
TABLE = [file for file in PAIRS if "published_protocol" in file.read_text()]
UNTRAINED = ["--model.untrained_teacher", "true", "--model.teacher_weights", "null"]
DIGITS = [ROOT / "data/digits.yaml", ROOT / "digits/pair.yaml"]


def build(files, *options):
    """The experiment; weights that it names are made first, in the current folder. Published ones are not fetched."""
    config = parse("fit", [*flags(files), *options]).config.as_dict()
    callbacks = config["trainer"].get("callbacks") or []
    for arguments in (holder.get("init_args") or {} for holder in [config["model"], *callbacks]):
        ensemble = (arguments.get("teacher") or {}).get("init_args", {})
        wanted = list(zip(ensemble.get("members") or [], ensemble.get("weights") or [], strict=True))
        wanted += [(arguments.get(name), arguments.get(f"{name}_weights")) for name in ("teacher", "student")]
        for described, path in wanted:
            if path is not None and is_published(path):
                options = [*options, *UNTRAINED]
            elif path is not None:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                torch.save(build_object(Classifier, described).state_dict(), path)
    return build_experiment("fit", [*flags(files), *options])


def flags(files):
    return [flag for file in files for flag in ("--config", str(file))]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):  # the classes of one's own photographs are the folders that are there
        (tmp_path / "data/photographs" / name).mkdir(parents=True)


def resolved(experiment):
    return yaml.safe_load(experiment.config)


@pytest.mark.parametrize("file", WHOLE, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_experiment_is_built(file):
    experiment = build([file])
    assert isinstance(experiment.method, Learner)
    assert experiment.method.student.num_classes == experiment.data.num_classes
    text = file.read_text()
    assert text.startswith("# kdlight "), "a whole experiment opens with its command"
    assert str(file.relative_to(ROOT.parent)) in text.splitlines()[0]
    assert len([line for line in text.splitlines() if not line.startswith("#")]) < 20


@pytest.mark.parametrize("file", [*WHOLE, *PAIRS], ids=lambda file: str(file.relative_to(ROOT)))
def test_every_experiment_with_a_teacher_measures_the_pid(file):
    config = compose([file])
    callbacks = [callback["class_path"] for callback in config.get("trainer", {}).get("callbacks") or []]
    has_teacher = "teacher" in config["model"].get("init_args", {})
    assert has_teacher == ("kdlight.callbacks.PIDMonitor" in callbacks) or "trainer" not in config


@pytest.mark.parametrize("file", METHODS, ids=lambda file: file.stem)
def test_a_method_combines_with_a_pair_in_either_order(file):
    if "Supervised" in file.read_text():
        pytest.skip("has no teacher, so no pair")
    first, second = build([*DIGITS, file]), build([file, *DIGITS])
    assert type(first.method) is type(second.method)
    configurations = [resolved(experiment) for experiment in (first, second)]
    for configuration in configurations:
        configuration["trainer"].pop("default_root_dir")
    assert configurations[0] == configurations[1]


@pytest.mark.parametrize("method", METHODS, ids=lambda file: file.stem)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda file: file.stem)
def test_every_pair_composes_with_every_method_in_either_order(pair, method):
    composed = compose([pair, method])
    assert compose([method, pair]) == composed
    assert composed["model"]["class_path"] == compose([method])["model"]["class_path"]


def test_the_pairs_are_those_of_the_table():
    assert len(TABLE) >= 13
    for file in TABLE:
        composed = compose([file])
        arguments = composed["model"]["init_args"]
        teacher, student = (arguments[name]["class_path"].rpartition(".")[2] for name in ("teacher", "student"))
        assert file.stem == f"{teacher}-{student}"
        assert arguments["teacher_weights"] == f"published:cifar100/{teacher}"
        mobile = student.startswith(("Mobile", "Shuffle"))
        assert arguments["optimizer"]["init_args"] == {
            "lr": 0.01 if mobile else 0.05,
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "fused": True,
        }
        assert (composed["trainer"]["max_epochs"], composed["data"]["init_args"]["batch_size"]) == (240, 64)


@pytest.mark.parametrize(
    ("pair", "method"),
    [("resnet32x4-resnet8x4", "crd"), ("vgg13-MobileNetV2", "dkd"), ("wrn_40_2-ShuffleV1", "ft")],
)
def test_a_pair_of_the_table_is_built_in_either_order(pair, method):
    files = [ROOT / f"pairs/{pair}.yaml", ROOT / f"methods/{method}.yaml"]
    first, second = (build_experiment("fit", [*flags(order), *UNTRAINED]) for order in (files, files[::-1]))
    configurations = [resolved(experiment) for experiment in (first, second)]
    for configuration in configurations:
        configuration["trainer"].pop("default_root_dir")
    assert configurations[0] == configurations[1]
    assert first.method.student.num_classes == first.method.teacher.num_classes == 100


@pytest.mark.parametrize("file", COMBINATIONS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_combination_belongs_to_a_method_and_says_something_that_it_accepts(file):
    first, _, second = file.stem.partition("+")
    method = ROOT / f"methods/{second}.yaml"
    said = compose([file])
    assert said["model"]["class_path"] == compose([method])["model"]["class_path"]
    alone = merge([compose([file.with_name(f"{first}.yaml")]), compose([method])])
    assert merge([alone, said]) == compose([file.with_name(f"{first}.yaml"), method]) != alone
    accepted = argument_names(said["model"]["class_path"])
    assert set(said["model"].get("init_args", {})) <= accepted


def argument_names(path):
    """Those of the classes behind ``**kwargs`` included."""
    signatures = (inspect.signature(made.__init__) for made in import_object(path).__mro__ if made is not object)
    return {name for signature in signatures for name in signature.parameters}


def test_what_a_pair_and_a_method_need_together_is_taken_and_yields_to_the_command_line():
    files = [ROOT / "pairs/wrn_40_2-wrn_40_1.yaml", ROOT / "methods/dkd.yaml"]
    assert build_experiment("fit", [*flags(files), *UNTRAINED]).method.beta == 6
    assert build_experiment("fit", [*flags(files), *UNTRAINED, "--model.beta", "3"]).method.beta == 3


@pytest.mark.parametrize(
    "file",
    [file for file in PARTS if file not in METHODS + COMBINATIONS + TABLE],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_a_part_fits_into_an_experiment(file):
    data = next((name for name in ("cifar100", "cifar10") if name in str(file) or name in file.read_text()), "digits")
    base = [ROOT / f"data/{data}.yaml", ROOT / "digits/pair.yaml", ROOT / "methods/kd.yaml"]
    if (compose([file]).get("trainer") or {}).get("accelerator") == "gpu" and not torch.cuda.is_available():
        # By then all that the file says is parsed, and the strategy that it describes is made.
        built = build([*base, file])
        with pytest.raises(MisconfigurationException, match="No supported gpu backend"):
            built.make_trainer()
    else:
        assert isinstance(build([*base, file]).method, Learner)


AUTHORS = sorted((ROOT / "cifar10").glob("*_authors.yaml"))


def test_the_arms_of_the_authors_are_there_and_have_curves():
    assert [file.stem for file in AUTHORS] == [f"{arm}_authors" for arm in ("baseline", "rid", "ted", "vid")]
    arguments = {file.stem.partition("_")[0]: compose([file]) for file in AUTHORS}
    for composed in arguments.values():
        assert composed["data"].get("init_args", {}).get("val_size") != 0, "there is something to draw a curve of"
        assert "kdlight.callbacks.PIDMonitor" in [made["class_path"] for made in composed["trainer"]["callbacks"]]
    networks = [
        {name: composed["model"]["init_args"][name] for name in ("student", "teacher", "teacher_weights")}
        for composed in arguments.values()
    ]
    assert all(network == networks[0] for network in networks)


@pytest.mark.parametrize("data", ["cifar10", "cifar100"])
def test_an_eighth_of_teds_epochs_trains_the_filters(data):
    composed = compose([ROOT / data / "ted.yaml"])
    assert composed["model"]["class_path"] == "kdlight.methods.TED"
    assert composed["model"]["init_args"]["filter_epochs"] == math.ceil(composed["trainer"]["max_epochs"] / 8)


def test_what_the_authors_call_ted_is_rid_with_one_cycle():
    composed = compose([ROOT / "cifar10/ted_authors.yaml"])
    assert composed["model"]["class_path"] == "kdlight.methods.RID"
    arguments = composed["model"]["init_args"]
    assert arguments["warmup_epochs"] is None
    assert arguments["cycle_epochs"] == composed["trainer"]["max_epochs"]
    assert arguments["filter_ratio"] == 1 / 8
