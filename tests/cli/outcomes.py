"""What came of a command line with a wrong value, and the tables in which that stands."""

import contextlib
import io
import os
import shutil
import signal
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import torch

from kdlight.__main__ import main
from kdlight.cli import messages

WITHIN = 60  # seconds
ACCEPTED, REFUSED = "accepted", "refused"
WRITES = "KDLIGHT_WRITE_OUTCOMES"


class StoppedError(Exception):
    """A test raises it where the command would do more than set up."""


class Outcome(NamedTuple):
    """What came of a command line.

    Attributes:
        kind: "accepted" or "refused"; or what must not be: "hangs", "traceback", or another exit code.
        lines: The message, whole, although the command prints no more than three lines of it.
    """

    kind: str
    lines: list[str]


def try_command(arguments: list[str]) -> Outcome:
    """Run a command in the working folder, and empty the folder again."""

    def raise_late(*_: object) -> None:
        raise TimeoutError

    def describe(error: BaseException) -> str | None:
        said.append(describe_mistake(error) or "")
        return said[-1] or None

    errors, threads, said = io.StringIO(), torch.get_num_threads(), []
    describe_mistake = messages._describe_mistake
    before = signal.signal(signal.SIGALRM, raise_late)
    signal.alarm(WITHIN)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(errors),
            contextlib.redirect_stdout(io.StringIO()),
            mock.patch.object(messages, "_describe_mistake", describe),
        ):
            warnings.simplefilter("ignore")
            code = main(arguments)
    except StoppedError:
        return Outcome(ACCEPTED, [])
    except TimeoutError:
        return Outcome("hangs", [])
    except BaseException as error:
        return Outcome("traceback", [f"{type(error).__name__}: {error}".partition("\n")[0]])
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
        torch.set_default_dtype(torch.float32)
        for made in Path.cwd().iterdir():
            shutil.rmtree(made) if made.is_dir() and not made.is_symlink() else made.unlink()
    message = "\n".join(said) or errors.getvalue()
    lines = [line for line in message.splitlines() if line.strip() and "warning: " not in line]
    return Outcome({0: ACCEPTED, 2: REFUSED}.get(code, f"code {code}"), [] if code == 0 else lines)


def require_table(found: Mapping[str, str], table: Path, *, whole: bool) -> None:
    """Compare outcomes with a table of them; a method or command that the table does not have is not compared.

    Args:
        found: "accepted" or "refused" by key, which begins with the method or command.
        table: Lines of a key, its outcome and perhaps more, with tabs between.
        whole: Whether these are all outcomes; then the table must have no others.
    """
    rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
    known = {key: kind for key, kind, *_ in rows}
    owners = {key.partition(" ")[0] for key in known}
    compared = {key: kind for key, kind in found.items() if key.partition(" ")[0] in owners}
    assert compared == {key: kind for key, kind in known.items() if whole or key in found}


def write_table(rows: Mapping[str, tuple[str, ...]], table: Path) -> None:
    """Write the table anew if the environment asks for it."""
    if os.environ.get(WRITES):
        lines = ("\t".join((key, *row)) + "\n" for key, row in rows.items())
        table.write_text("".join(lines), encoding="utf-8")
