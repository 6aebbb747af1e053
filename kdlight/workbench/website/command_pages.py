"""Write the page of the commands: what each command is for, and the help that it prints."""

import contextlib
import io
import os
from unittest import mock

from kdlight.__main__ import COMMANDS, main

WIDTH = "100"  # columns of the help; argparse reads this number from the environment


def write_page() -> str:
    """Return the page in Markdown."""
    parts = ["# Commands", "", "`kdlight COMMAND --help` prints the same help.", ""]
    for name, (_, text) in COMMANDS.items():
        parts += [f"## kdlight {name}", "", f"{text[0].upper()}{text[1:]}.", "", "```text", read_help(name), "```", ""]
    return "\n".join(parts)


def read_help(command: str) -> str:
    """Return what ``kdlight COMMAND --help`` prints."""
    printed = io.StringIO()
    with mock.patch.dict(os.environ, {"COLUMNS": WIDTH}), contextlib.redirect_stdout(printed):
        main([command, "--help"])
    return printed.getvalue().strip()
