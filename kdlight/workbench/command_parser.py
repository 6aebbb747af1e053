"""The parser of a command's options: argparse, whose complaints are printed as those of kdlight."""

import argparse
from typing import NoReturn

from kdlight.errors import UserError


class CommandParser(argparse.ArgumentParser):
    """An ``argparse.ArgumentParser`` that reports a wrong option in one line instead of below the command's usage."""

    def error(self, message: str) -> NoReturn:
        """Raise argparse's message as a mistake of the user.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{message}; `{self.prog} --help` shows every option")
