import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import kdlight
from kdlight.lazy import LAZY, find_lazy_names, write_stubs

ONE_IMPORT = """
import sys, kdlight.losses
assert "kd_loss" in dir(kdlight.losses)
from kdlight.losses import kd_loss
import kdlight.losses.kd
assert kd_loss is kdlight.losses.kd.kd_loss is kdlight.losses.kd_loss
assert "kdlight.losses.crd" not in sys.modules
"""


def test_a_name_imports_its_own_file_alone() -> None:
    subprocess.run([sys.executable, "-c", ONE_IMPORT], check=True)


INIT = "from kdlight.lazy import find_lazy_names\n__getattr__, __dir__ = find_lazy_names(__name__, __path__)\n"


def write_package(folder: Path, **files: str) -> Path:
    """A package of this name whose names are lazy; `_` in a file's name here stands for `/` there."""
    folder.mkdir()
    (folder / "__init__.py").write_text(INIT)
    for path, text in files.items():
        file = folder / f"{path.replace('_', '/')}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return folder


def test_a_new_file_is_public_by_what_it_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = '__all__ = ["Thing"]\nimport math\nclass Thing: ...\ndef helper(): ...\nCONSTANT = 1\n'
    broken = '"""Two names."""\n\n__all__ = [\n    "other",\n    "third",\n]\nraise RuntimeError\n'
    write_package(tmp_path / "fresh", one=listing, below_broken=broken, silent="def helper(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    import fresh

    assert dir(fresh) == ["Thing", "other", "third"]
    assert fresh.Thing.__module__ == "fresh.one"
    for name in ("helper", "CONSTANT", "math", "absent", "__all__"):
        assert not hasattr(fresh, name)
    with pytest.raises(RuntimeError):
        _ = fresh.other


@pytest.mark.parametrize(
    "line", ['__all__ = ["one_name"]', '__all__: list[str] = ["one_name"]', '__all__ = ["one_name"]  # the public one']
)
def test_common_ways_to_list_names_are_read(tmp_path: Path, line: str) -> None:
    _, listed = find_lazy_names("package", [str(write_package(tmp_path / "package", file=f'"""Text."""\n{line}\n'))])
    assert listed() == ["one_name"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"one": '__all__ = ["same"]', "two": '__all__ = ["same"]'}, "both one.py and two.py list same in __all__"),
        ({"one": '__all__ = ["one"]'}, "one.py lists one in __all__, but a file or folder has this name, too"),
        ({"one": '__all__ = ["below"]', "below_two": ""}, "one.py lists below in __all__, but a file or folder has"),
        (
            {"one": '__all__ = ["a"] + ["b"]'},
            r"expected __all__ = \[...\], a single list of strings, .* got the line",
        ),
    ],
)
def test_ambiguous_names_are_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    _, listed = find_lazy_names("package", [str(write_package(tmp_path / "package", **files))])
    with pytest.raises(ImportError, match=message):
        listed()


SOURCE = Path(kdlight.__path__[0])
LAZY_PACKAGES = [
    f"kdlight.{found.name}"
    for found in pkgutil.iter_modules(kdlight.__path__)
    if found.ispkg and LAZY in (SOURCE / found.name / "__init__.py").read_text()
]


def test_the_packages_of_the_library_resolve_their_names() -> None:
    assert {"kdlight.methods", "kdlight.losses", "kdlight.data", "kdlight.information"} <= set(LAZY_PACKAGES)


@pytest.mark.parametrize("name", LAZY_PACKAGES)
def test_every_public_name_is_defined_where_it_is_listed(name: str) -> None:
    package = importlib.import_module(name)
    for public in dir(package):
        made = getattr(package, public)
        assert made.__name__ == public
        assert made.__module__.startswith(f"{name}.")
        assert public in importlib.import_module(made.__module__).__all__


def test_methods_are_methods_and_their_bases() -> None:
    import kdlight.methods
    from kdlight.methods.base.learner import Learner

    public = {name: getattr(kdlight.methods, name) for name in dir(kdlight.methods)}
    assert {"KD", "RID", "Supervised", "Learner", "Distiller", "LogitDistiller", "FeatureDistiller"} <= set(public)
    assert all(inspect.isclass(made) and issubclass(made, Learner) for made in public.values())
    assert {name for name, made in public.items() if inspect.isabstract(made)} == {
        name for name, made in public.items() if ".methods.base." in made.__module__
    }


@pytest.mark.parametrize("package", ["methods", "losses"])
def test_every_file_of_a_paper_says_what_is_public(package: str) -> None:
    silent = [file.name for file in (SOURCE / package).glob("[!_]*.py") if "\n__all__ = [" not in file.read_text()]
    assert silent == []


def test_stubs_say_the_same_as_the_packages(tmp_path: Path) -> None:
    source = write_package(tmp_path / "fresh", below_one='__all__ = ["Thing"]\nclass Thing: ...\n')
    (tmp_path / "copy" / "fresh").mkdir(parents=True)
    (stub,) = write_stubs(source, tmp_path / "copy" / "fresh")
    assert stub == tmp_path / "copy" / "fresh" / "__init__.pyi"
    assert stub.read_text().splitlines()[1:] == ["from .below.one import Thing as Thing"]
