"""`kdlight data`: what it says of every data module that is shipped."""

import inspect

import pytest

import kdlight.data
from kdlight.__main__ import main
from kdlight.workbench.list_data import can_download, list_data_modules, list_own_arguments
from kdlight.workbench.source_classes import list_arguments

MODULES = list_data_modules()


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_every_data_module_that_a_configuration_can_name_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    bases = {"ImageDataModule", "ImageFilesDataModule"}
    modules = {name for name in dir(kdlight.data) if name.endswith("DataModule")} - bases
    assert MODULES.keys() == {name for name in modules if not inspect.isabstract(getattr(kdlight.data, name))}
    fetched = {name for name, data in MODULES.items() if can_download(list_own_arguments(data))}
    assert fetched == {"CIFAR10DataModule", "CIFAR100DataModule", "TinyImageNetDataModule", "CUBDataModule"}
    assert main(["data"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in MODULES)
    assert "data_dir=(required)" in said
    assert "mirrors=['https://www.cs.toronto.edu" in said


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_arguments_that_are_shown_are_those_that_the_class_takes(name: str) -> None:
    shown: dict[str, str] = {}
    for owner, arguments in list_arguments(MODULES[name]):
        for argument in arguments:
            assert argument.meaning, f"{owner.name} does not say what {argument.name} is"
            shown[argument.name] = argument.default
    made = getattr(kdlight.data, name)
    for owner in made.__mro__:
        parameters = inspect.signature(owner.__init__).parameters.values()
        named = {given.name for given in parameters if given.kind is not given.VAR_KEYWORD} - {"self"}
        assert named <= shown.keys()
        if not any(given.kind is given.VAR_KEYWORD for given in parameters):
            break
    own = inspect.signature(made).parameters.values()
    assert {given.name for given in own if given.default is given.empty and given.kind is not given.VAR_KEYWORD} == {
        argument.name for argument in list_own_arguments(MODULES[name]) if argument.default == "(required)"
    }


@pytest.mark.parametrize("name", ["digits", "DigitsDataModule", "DIGITS"])
def test_shows_one_data_module(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", name]) == 0
    said = capsys.readouterr().out
    for part in ("E. Alpaydin", "Number of images held out for validation.", "eval_batch_size", "train_per_class"):
        assert part in said


@pytest.mark.parametrize(("name", "hint"), [("digit", "did you mean 'digits'?"), ("zzz", "`kdlight data` lists them")])
def test_a_data_module_that_does_not_exist_is_said_in_one_line(
    name: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", name]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"kdlight: there is no data module '{name}'; {hint}\n"
