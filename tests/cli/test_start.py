"""The entry point imports nothing heavy: help and mistyped commands answer at once."""

import subprocess
import sys

import pytest

from kdlight.__main__ import COMMANDS, main

# Commands that pass options on to `kdlight fit`, whose options are known only after torch was imported.
TAKE_OPTIONS_OF_FIT = {"fit", "validate", "test", "predict", "cache", "bench"}


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--help"], 0, "usage"),
        (["fti"], 2, "'fit'"),
        ([], 0, "usage"),
        (["methods"], 0, "Hinton"),
        (["methods", "kd"], 0, "temperature"),
        (["data"], 0, "DigitsDataModule"),
        (["data", "cifar10"], 0, "train_batches"),
        (["configs"], 0, "digits/rid.yaml"),
        (["fit", "--config", "rid.yaml", "--help"], 0, "DigitsDataModule"),
        (["fit", "--help"], 0, " RID "),
        (["fit", "--config", "digits/ridd.yaml"], 2, "digits/rid.yaml"),
        (["fit", "--config"], 2, "expected a YAML file"),
    ],
)
def test_answers_without_torch(arguments, code, text):
    assert text in assert_answers_without_torch(arguments, code)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"models"}))
def test_the_help_of_a_command_answers_without_torch(command):
    assert_answers_without_torch([command, "--help"], 0)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - TAKE_OPTIONS_OF_FIT - {"models"}))
def test_a_mistyped_option_of_a_command_is_refused_without_torch(command):
    assert_answers_without_torch([command, "--optoin"], 2)


def assert_answers_without_torch(arguments, code):
    program = f"""
import sys
from kdlight.__main__ import main
code = main({arguments!r})
assert 'torch' not in sys.modules and 'lightning' not in sys.modules
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_help_imports_only_a_few_modules_of_the_standard_library():
    program = """
import sys
before = set(sys.modules)
from kdlight.__main__ import main
main(["--help"])
added = {name.partition(".")[0] for name in set(sys.modules) - before}
print("ADDED", sorted(added - set(sys.stdlib_module_names)), len(set(sys.modules) - before) < 200)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "ADDED ['kdlight'] True"


def test_the_long_help_lists_every_method_and_data_module(capsys):
    assert main(["fit", "--help_all"]) == 0
    said = capsys.readouterr().out
    for name in ("methods.RID", "methods.TED", "methods.ReviewKD", "data.DigitsDataModule", "data.ImageNetDataModule"):
        assert f"kdlight.{name}" in said
