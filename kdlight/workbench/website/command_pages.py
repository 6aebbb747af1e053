"""The page of the commands: what each one is for, and its own help."""

import contextlib
import io
import os
from unittest import mock

from kdlight.__main__ import COMMANDS, main

WIDTH = "100"  # columns of the help; argparse reads them from the environment


def write_page() -> str:
    """Write the page."""
    parts = ["# Commands", "", "`kdlight COMMAND --help` prints what stands here.", ""]
    for name, (_, text) in COMMANDS.items():
        parts += [f"## kdlight {name}", "", f"{text[0].upper()}{text[1:]}.", "", "```text", read_help(name), "```", ""]
    return "\n".join(parts)


def read_help(command: str) -> str:
    """Return what ``kdlight COMMAND --help`` prints."""
    printed = io.StringIO()
    with mock.patch.dict(os.environ, {"COLUMNS": WIDTH}), contextlib.redirect_stdout(printed):
        main([command, "--help"])
    return printed.getvalue().strip()
