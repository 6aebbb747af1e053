"""The entry point imports nothing heavy: help and mistyped commands answer at once."""

import subprocess
import sys
import time

import pytest


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--help"], 0, "usage"),
        (["fti"], 2, "'fit'"),
        ([], 0, "usage"),
        (["methods"], 0, "Hinton"),
        (["methods", "kd"], 0, "temperature"),
        (["configs"], 0, "digits/rid.yaml"),
        (["fit", "--config", "rid.yaml", "--help"], 0, "DigitsDataModule"),
        (["fit", "--help"], 0, " RID "),
    ],
)
def test_answers_without_torch(arguments, code, text):
    program = f"""
import sys
from kdlight.__main__ import main
code = main({arguments!r})
assert 'torch' not in sys.modules and 'lightning' not in sys.modules
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert text in done.stdout + done.stderr


def test_answers_in_half_a_second():
    def seconds():
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "kdlight", "--help"], capture_output=True, check=True)
        return time.perf_counter() - started

    assert min(seconds() for _ in range(3)) < 0.5
