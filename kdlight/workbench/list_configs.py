"""``kdlight configs``: list the configurations that come with kdlight, or copy them into a folder to change them."""

import re
import shutil
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from kdlight.cli.shipped import find_shipped_folder, list_shipped
from kdlight.errors import UserError
from kdlight.files import parse_path
from kdlight.workbench.command_parser import CommandParser

COMMANDS = ("kdlight ", "make ")  # a comment line that begins with one of these is a command to call
SENTENCE_END = re.compile(r"[.;](?:\s|$)|: (?=kdlight )")


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    target = make_parser().parse_args(arguments[1:]).copy
    if target is not None:
        copy_to(target)
        return
    names = list_shipped()
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {read_description(find_shipped_folder() / name)}".rstrip())


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser(
        "kdlight configs",
        description=f"{(__doc__ or '').partition(': ')[2]} `kdlight fit --config NAME` runs one.",
    )
    parser.add_argument(
        "--copy", type=parse_path, metavar="DIR", help="copy all configurations into this new or empty folder"
    )
    return parser


def copy_to(folder: Path) -> None:
    """Write the shipped configurations into a folder.

    Raises:
        UserError: If the path is a file, or a folder that is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--copy {folder}: expected a folder that is empty or does not exist; name another one")
    shutil.copytree(find_shipped_folder(), folder, dirs_exist_ok=True)
    print(f"copied {len(list_shipped())} configurations to {folder}; try kdlight fit --config {folder}/digits/rid.yaml")


def read_description(file: Path) -> str:
    """Return the first sentence of the comment at the top of a configuration.

    Lines that are commands are skipped. If there are no other lines, return the first command.
    """
    lines = takewhile(lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines())
    comments = [line.lstrip("# ") for line in lines]
    said = " ".join(comment for comment in comments if not comment.startswith(COMMANDS))
    return SENTENCE_END.split(said, maxsplit=1)[0] or (comments or [""])[0]
