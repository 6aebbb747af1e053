"""The parser of a command's options: argparse, but its errors are printed like all errors of kdlight."""

import argparse
import re
from typing import Any, NoReturn

from kdlight.errors import UserError
from kdlight.files import parse_path
from kdlight.runs.folder import WEIGHTS


class CommandParser(argparse.ArgumentParser):
    """An ``argparse.ArgumentParser`` that reports a wrong option in one line instead of below the command's usage.

    Args:
        prog: The command.
        usage: How the command is called; None: argparse writes the usage.
        description: What the command does: the docstring of its file. The command's name at the beginning is left out.
        options: Passed on to ``argparse.ArgumentParser``.
    """

    def __init__(self, prog: str, usage: str | None = None, *, description: str | None, **options: Any) -> None:
        text = re.sub(r"^``[^`]*``: ", "", description or "")
        super().__init__(prog, usage, text[:1].upper() + text[1:], allow_abbrev=False, **options)

    def add_run(self) -> None:
        """Add the arguments that name a run and the weights to take from it."""
        self.add_argument("run", type=parse_path, metavar="RUN", help="folder of a finished run, or a checkpoint in it")
        self.add_argument(
            "--weights", choices=WEIGHTS, default="last", help="best: the weights selected on validation images"
        )

    def add_runs(self) -> None:
        """Add the arguments that name runs to compare, the baseline among them, and a selection."""
        self.add_argument("runs", nargs="+", metavar="RUNS", help="folders of runs, patterns, or the folder of a grid")
        self.add_argument(
            "--baseline", default="", metavar="NAME=VALUE", help="show differences to the runs with this setting"
        )
        self.add_argument(
            "--where",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="take only the runs with this setting; repeatable",
        )

    def error(self, message: str) -> NoReturn:
        """Raise argparse's message as a mistake of the user.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{message}; `{self.prog} --help` shows every option")
