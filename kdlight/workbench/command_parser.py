"""The parser of a command's options: an argparse parser whose errors are printed in one line, without the usage."""

import argparse
import re
from typing import Any, NoReturn

from kdlight.errors import UserError
from kdlight.files import parse_path
from kdlight.runs.folder import WEIGHTS


class CommandParser(argparse.ArgumentParser):
    """An ``argparse.ArgumentParser`` that raises a `UserError` for a wrong option, instead of printing the usage.

    Args:
        prog: The command.
        usage: The lines of the help that show how to call the command. If None, argparse writes them.
        description: The docstring of the command's file, which says what the command does. The help leaves out a
            beginning such as "``kdlight pid``: ".
        options: Further arguments of ``argparse.ArgumentParser``.
    """

    def __init__(self, prog: str, usage: str | None = None, *, description: str | None, **options: Any) -> None:
        text = re.sub(r"^``[^`]*``: ", "", description or "")
        super().__init__(prog, usage, text[:1].upper() + text[1:], allow_abbrev=False, **options)

    def add_run(self) -> None:
        """Add the arguments that name a run and the weights to take from it."""
        self.add_argument("run", type=parse_path, metavar="RUN", help="folder of a finished run, or a checkpoint in it")
        self.add_argument(
            "--weights",
            choices=WEIGHTS,
            default="last",
            help="last (the default): weights of the last epoch; best: of the epoch with the best validation accuracy",
        )

    def add_runs(self) -> None:
        """Add the arguments RUNS (the runs to compare), ``--baseline`` and ``--where`` (settings that select runs)."""
        self.add_argument(
            "runs",
            nargs="+",
            metavar="RUNS",
            help="runs' folders, patterns such as 'runs/digits/*', or a folder with several runs",
        )
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
        """Raise argparse's message as a `UserError`, with a reference to ``--help``.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{message}; `{self.prog} --help` shows every option")
