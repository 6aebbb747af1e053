"""Report mistakes of the user in at most three lines, and hide messages of libraries that do not concern the user."""

import logging
import os
import re
import select
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from kdlight.errors import UserError

DEBUG = "KDLIGHT_DEBUG"
USER_ERROR, INTERRUPTED, TERMINATED = 2, 130, 143

# Warnings of Lightning and other libraries, each with the reason why it does not concern the user.
IGNORED_WARNINGS = (
    r"\s*(By default only one Jsonargparse|``instantiate_classes`` was deprecated)",  # Lightning uses deprecated names
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning 2.6 with torch 2.13; fixed upstream
    r".*does not have many workers.*",  # images in memory are fetched faster without workers
    r".*number of training batches .* smaller than the logging interval.*",  # kdlight logs epochs, not steps
    r".*exists and is not empty.*",  # a run's folder holds its configuration and log before the first checkpoint
    r".*callbacks used to create the checkpoint need to be provided.*",  # a test uses only the weights
    r".*Total length of `list` across ranks is zero.*",  # val_size: 0 asks for no validation
    r".*`self\.log\('pid/.*sync_dist=True.*",  # the first process measures these values, on all samples
)
IGNORED_MESSAGES = (
    *("litlogger", "litmodels"),  # advertisements
    *("GPU available", "TPU available", "HPU available", "Seed set to", "module(s) in eval mode"),
    *("Trainer already configured with model summary", "`Trainer.fit` stopped: `max_"),
    *("Restoring states from the checkpoint", "Loaded model weights from the checkpoint"),
)
NOISY = ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed", "lightning.pytorch")


@dataclass
class Outcome:
    """The exit code of a command."""

    code: int = 0


@contextmanager
def report_errors() -> Iterator[Outcome]:
    """Print a user's mistake in at most three lines, and set the exit code.

    Any other error is a bug of kdlight or of the user's own method; it is not caught, so that its traceback shows where
    the bug is. With `KDLIGHT_DEBUG=1` in the environment, mistakes of the user also show their traceback.
    """
    outcome = Outcome()
    try:
        yield outcome
    except (KeyboardInterrupt, SystemExit) as stop:  # Lightning turns Ctrl-C into SystemExit(1)
        if type(stop).__name__ == "SIGTERMException":  # compared by name, to avoid importing Lightning here
            outcome.code = TERMINATED
        else:
            outcome.code = INTERRUPTED if isinstance(stop, KeyboardInterrupt) or stop.code == 1 else int(stop.code or 0)
    except BrokenPipeError:
        if _has_reader(sys.stdout):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python's flush at exit fails
    except Exception as error:
        mistake = _describe_mistake(error)
        if mistake is None or os.environ.get(DEBUG, "0") not in ("", "0"):
            raise
        outcome.code = USER_ERROR
        lines = [line for line in mistake.splitlines() if line.strip()]
        print("kdlight: " + "\n".join(lines[:3]), file=sys.stderr)


def _has_reader(stream: TextIO) -> bool:
    """Return whether a stream can still be written to. A pipe cannot be written to after its reader has ended."""
    poll = select.poll()
    poll.register(stream, 0)  # poll reports errors, whatever events it is asked for
    return not poll.poll(0)


def silence_libraries() -> None:
    """Hide known messages of the libraries, and print warnings in one line, without the code that caused them."""
    warnings.formatwarning = lambda message, *_: f"kdlight: warning: {message}\n"
    _ignore_warnings()
    for name in NOISY:
        logging.getLogger(name).addFilter(_is_news)


@contextmanager
def suppress_noise() -> Iterator[None]:
    """Hide known messages of the libraries inside a ``with`` block, and restore the program's own settings after it."""
    with warnings.catch_warnings():
        _ignore_warnings()
        for name in NOISY:
            logging.getLogger(name).addFilter(_is_news)
        try:
            yield
        finally:
            for name in NOISY:
                logging.getLogger(name).removeFilter(_is_news)


def _ignore_warnings() -> None:
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def _is_news(record: logging.LogRecord) -> bool:
    return not any(part in record.getMessage() for part in IGNORED_MESSAGES)


def _describe_mistake(error: BaseException) -> str | None:
    """Return the message for the user if the error, or its cause, is a mistake of the user; None if it is a bug."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return str(cause)
        cause = cause.__cause__
    if type(error).__name__ == "MisconfigurationException":  # Lightning's own checks of the trainer's arguments
        return str(error)
    if _find_raising_module(error).startswith("lightning.pytorch.callbacks"):  # e.g. the metric to monitor is missing
        return str(error)
    if type(error).__module__.startswith("wandb"):
        return f"W&B: {error}; log in with `wandb login`, or stay offline: --trainer.logger.offline true"
    if re.search(r"gloo.*(reset|closed) by peer", str(error)):
        return "another process of this run has ended, and its own message may say why; go on with --ckpt_path last"
    if isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError | FileExistsError):
        return f"{error.filename}: {error.strerror}; expected a path that kdlight may read and write, choose another"
    return None


def _find_raising_module(error: BaseException) -> str:
    """Return the name of the module whose code raised the error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else ""
