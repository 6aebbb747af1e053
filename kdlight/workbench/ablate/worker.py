"""Run one job of a grid (see `kdlight ablate`) in a process of its own.

The process is forked from the fork server of multiprocessing, which has already imported the modules `PRELOADED`.
"""

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

# Modules that a fit imports. The server from which processes are forked imports them once, so that runs start fast.
PRELOADED = (
    "kdlight.cli.build",
    "kdlight.workbench.ablate.worker",
    "kdlight.methods.base.learner",
    "kdlight.callbacks.pid_monitor",
    "kdlight.data.digits",
)


def run_fit(arguments: Sequence[str], threads: int, log: Path) -> None:
    """Run ``kdlight fit`` and end the process with its exit code.

    Args:
        arguments: The arguments of ``kdlight fit``.
        threads: Number of CPU threads.
        log: A file; what the run prints is appended to it.
    """
    # Start a new process group. Ctrl-C in the terminal then reaches only `kdlight ablate`, which passes it on. If this
    # process also received it from the terminal, the second signal would kill the run.
    os.setpgrp()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab", buffering=0) as stream:
        os.dup2(stream.fileno(), sys.stdout.fileno())
        os.dup2(stream.fileno(), sys.stderr.fileno())
    import torch

    torch.set_num_threads(threads)
    from kdlight.__main__ import main

    code = main(["fit", *arguments])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without the exit handlers, which belong to the server


def _end_with(parent: int) -> None:
    """End the process when its parent has ended, because otherwise the run would go on and keep its folder locked."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
