"""A process that waits for another one without running Python code, and that was told to stop, ends after a while."""

import signal
import subprocess
import sys

import pytest

BLOCKED = """
import ctypes, os, signal, sys
from kdlight.runs.stop_deadline import StopDeadline

signal.signal(signal.SIGTERM, lambda *_: None)
deadline = StopDeadline(float(sys.argv[1]), lambda: print("ended the others", flush=True))
print("ready", flush=True)
left = ctypes.CDLL(None).sleep(2)  # without the interpreter's lock, as gloo waits; a signal interrupts it
while left and left > 0:
    left = ctypes.CDLL(None).sleep(left)
ctypes.CDLL(None).usleep(500_000)
deadline.close()
print("went on")
"""


@pytest.mark.parametrize(("seconds", "code"), [(0.2, 143), (30, 0)])
def test_a_blocked_process_that_is_told_to_stop(seconds, code):
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKED, str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert ("ended the others" in said, "went on" in said) == (code != 0, code == 0)
    assert ("has not answered for 0.2 seconds" in errors) == (code != 0)
