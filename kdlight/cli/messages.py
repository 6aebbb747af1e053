"""What the user reads: errors in one to three lines, and no noise that kdlight could have spared."""

import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.exceptions import SIGTERMException

PACKAGE = Path(__file__).parents[1]
USER_ERROR, INTERRUPTED, TERMINATED = 2, 130, 143

# Known noise of the stack, each with its reason.
IGNORED_WARNINGS = (
    r"\s*(By default only one Jsonargparse|``instantiate_classes`` was deprecated)",  # Lightning 2.6 calls old names
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning 2.6 beside torch 2.13; fixed upstream
    r".*does not have many workers.*",  # images lie in memory: workers would only slow them down
    r".*number of training batches .* smaller than the logging interval.*",  # kdlight logs epochs, not steps
    r".*exists and is not empty.*",  # a run's folder holds its configuration and log before the first checkpoint
    r".*callbacks used to create the checkpoint need to be provided.*",  # a test needs weights, not callbacks
    r".*Total length of `list` across ranks is zero.*",  # val_size: 0 asks for no validation
    r".*`self\.log\('pid/.*sync_dist=True.*",  # the first process measures the PID, on all samples
)
IGNORED_MESSAGES = (
    *("litlogger", "litmodels"),  # advertisements
    *("GPU available", "TPU available", "HPU available", "Seed set to", "module(s) in eval mode"),
    *("Restoring states from the checkpoint", "Loaded model weights from the checkpoint"),
)


@dataclass
class Outcome:
    """The exit code of a command."""

    code: int = 0


@contextmanager
def explained() -> Iterator[Outcome]:
    """Say what went wrong without a traceback where kdlight itself noticed it, and set the exit code."""
    outcome = Outcome()
    try:
        yield outcome
    except SIGTERMException:
        outcome.code = TERMINATED
    except (KeyboardInterrupt, SystemExit) as stop:  # Lightning turns Ctrl-C into SystemExit(1)
        outcome.code = INTERRUPTED if isinstance(stop, KeyboardInterrupt) or stop.code == 1 else int(stop.code or 0)
    except MisconfigurationException as error:  # Lightning's own checks of the trainer's arguments
        outcome.code = USER_ERROR
        _print_error(str(error))
    except Exception as error:
        noticed = _noticed_by_kdlight(error) or _of_wandb(error) or _of_lost_process(error) or _of_the_disk(error)
        if noticed is None:
            raise
        outcome.code = USER_ERROR
        _print_error(str(noticed))


def quiet() -> None:
    """Leave out known noise of the libraries, and say a warning in one line, without the line of code it came from."""
    warnings.formatwarning = lambda message, *_: f"kdlight: warning: {message}\n"
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed", "lightning.pytorch"):
        logging.getLogger(name).addFilter(
            lambda record: not any(part in record.getMessage() for part in IGNORED_MESSAGES)
        )


def _print_error(message: str) -> None:
    lines = [line for line in message.splitlines() if line.strip()]
    print("kdlight: " + "\n".join(lines[:3]), file=sys.stderr)


def _noticed_by_kdlight(error: BaseException | None) -> BaseException | None:
    """The exception of a chain that a check of kdlight raised: its traceback ends in the package."""
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        if frames and isinstance(error, ValueError | OSError) and PACKAGE in Path(frames[-1].filename).parents:
            return error
        error = error.__cause__ or error.__context__
    return None


def _of_wandb(error: BaseException) -> BaseException | None:
    """What W&B says when it has no account, with what to do."""
    if not type(error).__module__.startswith("wandb"):
        return None
    return ValueError(f"W&B: {error}; log in with `wandb login`, or stay offline: --trainer.logger.offline true")


def _of_the_disk(error: BaseException) -> BaseException | None:
    """A path that cannot be made or opened, which only the user can mend."""
    if not isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError | FileExistsError):
        return None
    return OSError(f"{error.filename}: {error.strerror}; expected a path that can be written to, name another")


def _of_lost_process(error: BaseException) -> BaseException | None:
    """What gloo says when another process of a distributed run is gone."""
    if not re.search(r"gloo.*(reset|closed) by peer", str(error)):
        return None
    return ConnectionError("another process of this run has ended, and may have said why; go on with --ckpt_path last")
