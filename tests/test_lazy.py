import subprocess
import sys
from pathlib import Path

import pytest

from kdlight.lazy import names_of

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


def test_a_new_file_is_public_without_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fresh").mkdir()
    (tmp_path / "fresh" / "__init__.py").write_text(
        "from kdlight.lazy import names_of\n__getattr__, __dir__ = names_of(__name__, __path__)\n"
    )
    (tmp_path / "fresh" / "one.py").write_text("import math\nclass Thing: ...\ndef _hidden(): ...\nCONSTANT = 1\n")
    (tmp_path / "fresh" / "broken.py").write_text("raise RuntimeError\ndef other(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    import fresh

    assert dir(fresh) == ["Thing", "other"]
    assert fresh.Thing.__module__ == "fresh.one"
    for name in ("_hidden", "CONSTANT", "math", "absent", "__all__"):
        assert not hasattr(fresh, name)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"one": "same", "two": "same"}, "both one.py and two.py define same"),
        ({"one": "one"}, "defines one, its own stem"),
    ],
)
def test_ambiguous_names_are_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for stem, name in files.items():
        (tmp_path / f"{stem}.py").write_text(f"def {name}(): ...\n")
    _, listed = names_of("package", [str(tmp_path)])
    with pytest.raises(ImportError, match=message):
        listed()
