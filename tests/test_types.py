"""What a type checker and an editor know of kdlight: the user's script is checked, the library is not run."""

import inspect
import re
import shutil
import typing
from pathlib import Path

import pytest

import kdlight
from kdlight import methods
from kdlight.data.base.files_module import ImageFilesArguments, ImageFilesDataModule, WithValidation
from kdlight.data.base.image_module import ImageDataModule, ImageDataModuleArguments
from kdlight.data.cifar import CIFARArguments, CIFARDataModule
from kdlight.data.image_folder import ImageFolderArguments
from kdlight.lazy import write_stubs
from kdlight.methods.base.distiller import DistillerArguments
from kdlight.methods.base.feature_distiller import FeatureDistillerArguments, FeatureDistillerArgumentsWithoutCE
from kdlight.methods.base.learner import LearnerArguments
from kdlight.methods.base.logit_distiller import LogitDistillerArguments, LogitDistillerArgumentsWithoutCE
from kdlight.methods.base.two_phase_distiller import TwoPhaseDistillerArguments

ROOT = Path(__file__).parents[1]
SOURCE = Path(kdlight.__path__[0])

CORRECT = """
from kdlight.data import CIFAR10DataModule, DigitsDataModule, ImageFolderDataModule
from kdlight.losses import kd_loss
from kdlight.methods import KD, RID, TwoPhaseDistiller
from kdlight.models import Frozen, resnet8, resnet20

shape = DigitsDataModule.image_shape
student, teacher = resnet8(10, shape), resnet20(10, shape)
method = KD(student, teacher, temperature=2.0, ce_weight=0.5, standardize_logits=True, teacher_weights="t.ckpt")
method = KD(student, Frozen(teacher), compile=False, student_weights=None)
DigitsDataModule(batch_size=32, seed=None)
CIFAR10DataModule("data", val_size=0, download=True, label_noise=0.5)
ImageFolderDataModule("images", num_workers=0, train_per_class=3)
other = RID(student, teacher, lambda2=10.0, kd_weight=0.1, untrained_teacher=True, channels_last=False)
reveal_type(KD)
reveal_type(method.temperature)
reveal_type(kd_loss)
reveal_type(student)
"""

WRONG = """
from kdlight.data import CIFAR10DataModule, DigitsDataModule, ImageFolderDataModule
from kdlight.methods import KD, RID
from kdlight.models import resnet8

net = resnet8(10, (1, 8, 8))
KD(net, net, temperatur=2.0)
KD(net, net, teacher_weigths="t.ckpt")
KD(net, net, chanels_last=True)
KD(net, net, temperature="hot")
KD(net, net, untrained_teacher="yes")
KD(net, net, compile="yes")
RID(net, net)
RID(net, net, lambda2=1.0, ce_weight=1.0)
DigitsDataModule(batchsize=4)
DigitsDataModule(batch_size="4")
CIFAR10DataModule(val_sice=0)
ImageFolderDataModule("images", photographs=True)
"""


@pytest.mark.slow
def test_a_users_script_is_checked(tmp_path: Path) -> None:
    from mypy import api

    package = shutil.copytree(SOURCE, tmp_path / "kdlight", ignore=shutil.ignore_patterns("__pycache__", "*.pyi"))
    write_stubs(package, package)
    scripts = {name: tmp_path / f"{name}.py" for name in ("correct", "wrong")}
    scripts["correct"].write_text(CORRECT)
    scripts["wrong"].write_text(WRONG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPYPATH", str(tmp_path))
        patch.chdir(tmp_path)
        output, problem, _ = api.run(
            ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
            + [script.name for script in scripts.values()]
        )
    assert problem == ""
    said = re.findall(r"^(\w+)\.py:(\d+): (error|note): (.*)", output, re.MULTILINE)
    assert [words for script, _, kind, words in said if script == "correct" and kind == "error"] == []
    known = [words for script, _, kind, words in said if script == "correct" and "Revealed type" in words]
    assert len(known) == 4
    assert not any('"Any"' in words for words in known)
    first = WRONG.splitlines().index("KD(net, net, temperatur=2.0)") + 1
    lines = {int(line) for script, line, kind, _ in said if script == "wrong" and kind == "error"}
    assert lines == set(range(first, first + 12))


def passed_on(base: type) -> dict[str, object]:
    """The optional arguments of a base class and of its own bases, with their types."""
    found: dict[str, object] = {}
    for owner in base.__mro__:
        if not owner.__module__.startswith("kdlight.") or "__init__" not in vars(owner):
            continue
        types = typing.get_type_hints(owner.__init__)
        for parameter in inspect.signature(owner.__init__).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                found.setdefault(parameter.name, types[parameter.name])
    return found


@pytest.mark.parametrize(
    ("base", "arguments", "left_out"),
    [
        (methods.Learner, LearnerArguments, set()),
        (methods.Distiller, DistillerArguments, set()),
        (methods.LogitDistiller, LogitDistillerArguments, set()),
        (methods.LogitDistiller, LogitDistillerArgumentsWithoutCE, {"ce_weight"}),
        (methods.FeatureDistiller, FeatureDistillerArguments, set()),
        (methods.FeatureDistiller, FeatureDistillerArgumentsWithoutCE, {"ce_weight"}),
        (methods.TwoPhaseDistiller, TwoPhaseDistillerArguments, set()),
        (ImageDataModule, ImageDataModuleArguments, {"val_size", "augment", "mean", "std"}),
        (ImageDataModule, WithValidation, {"augment", "mean", "std"}),
        (CIFARDataModule, CIFARArguments, {"mean", "std", "mirrors"}),
        (ImageFilesDataModule, ImageFilesArguments, {"val_size"}),
        (
            ImageFilesDataModule,
            ImageFolderArguments,
            {"val_size", "image_size", "mean", "std", "photographs"},
        ),
    ],
)
def test_arguments_that_are_passed_on_are_those_of_the_base(base: type, arguments: type, left_out: set[str]) -> None:
    expected = {key: kind for key, kind in passed_on(base).items() if key not in left_out}
    assert typing.get_type_hints(arguments) == expected
