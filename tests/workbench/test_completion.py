"""``kdlight completion``: bash completes commands, options and values with the printed script."""

import shutil
import subprocess
from pathlib import Path
from typing import Literal

import pytest

from kdlight.__main__ import COMMANDS, main
from kdlight.workbench.completion import SHELLS, list_values

# Asks the function that the script registers for the completions of the words behind it, as bash does at a tab.
COMPLETE = r"""
source "$1"; shift
function=$(complete -p kdlight | grep -o -- '-F [^ ]*')
COMP_WORDS=(kdlight "$@"); COMP_CWORD=$#
${function#-F }
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("completion") / "kdlight.bash"
    with pytest.MonkeyPatch.context() as patched, file.open("w") as stream:
        patched.setattr("sys.stdout", stream)
        assert main(["completion", "bash"]) == 0
    return file


def complete(script: Path, folder: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words behind `kdlight`."""
    bash = ["bash", "--norc", "-c", COMPLETE, "bash", str(script), *words]
    return subprocess.run(bash, capture_output=True, text=True, check=True, cwd=folder).stdout.split()


def test_every_command_is_completed(script, tmp_path):
    assert sorted(complete(script, tmp_path, "")) == sorted(COMMANDS)
    assert complete(script, tmp_path, "dash") == ["dashboard"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("compare", "--base"), ["--baseline"]),
        (("fit", "--trainer.max_ep"), ["--trainer.max_epochs"]),
        (("fit", "--model.lambda2"), ["--model.lambda2"]),  # of RID
        (("fit", "--model.kd_w"), ["--model.kd_weight"]),  # of the base of most methods
        (("fit", "--data.down"), ["--data.download"]),
        (("bench", "--config", "rid.yaml", "--model.lambda2"), ["--model.lambda2"]),
        (("evaluate", "runs/kd", "--data.down"), ["--data.download"]),
    ],
)
def test_options_are_completed(script, tmp_path, words, offered):
    assert complete(script, tmp_path, *words) == offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("export", "runs/kd", "--format", "o"), ["onnx"]),
        (("fit", "--model", "kdlight.methods.RI"), ["kdlight.methods.RID"]),
        (("fit", "--data", "kdlight.data.Dig"), ["kdlight.data.DigitsDataModule"]),
        (("fit", "--model.student", "kdlight.models.resnet8x"), ["kdlight.models.resnet8x4"]),
        (("fit", "--trainer.precision", "bf16-m"), ["bf16-mixed"]),
        (("fit", "--data.download", "t"), ["true"]),
        (("fit", "--ckpt_path", "la"), ["last"]),
        (("fit", "--config", "digits/vid"), ["digits/vid.yaml"]),
        (("fit", "--config", "mlkd"), ["mlkd.yaml"]),
        (("methods", "rev"), ["reviewkd"]),
    ],
)
def test_values_are_completed(script, tmp_path, words, offered):
    assert complete(script, tmp_path, *words) == offered


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "--config"),
        ("fit", "--seed_everything", "1", "--model.teacher_weights"),
        ("pid", "--first"),
        ("predict",),
        ("ablate",),
        ("compare", "one", "two"),
    ],
)
def test_paths_are_completed(script, tmp_path, words):
    (tmp_path / "mine.yaml").touch()
    assert complete(script, tmp_path, *words, "min") == ["mine.yaml"]


def test_options_that_take_a_folder_complete_folders_alone(script, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "image.txt").touch()
    assert complete(script, tmp_path, "fit", "--data.data_dir", "im") == ["images"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_of_the_shell(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "lambda2" in script
    if shutil.which(shell) is not None:
        assert subprocess.run([shell, "-n"], input=script, text=True, check=False).returncode == 0


def test_values_that_a_type_names():
    assert list_values(bool | None) == ["true", "false"]
    assert list_values(Literal[16, "bf16"] | int) == ["16", "bf16"]
    assert list_values(list[bool]) == []
