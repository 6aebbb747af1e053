"""Read options ``--data.KEY VALUE``, which change arguments of a finished run's data module, such as its folder."""

from collections.abc import Sequence
from typing import Any

import yaml

from kdlight.errors import UserError


def read_data_options(options: Sequence[str], command: str) -> dict[str, Any]:
    """Read the options that a command's parser does not know; all of them have to begin with ``--data.``.

    Args:
        options: The words of the command line: ``--data.KEY`` followed by ``VALUE``, or ``--data.KEY=VALUE``.
        command: The command that was called, for the message.

    Returns:
        The values, read as YAML, by their keys.

    Raises:
        UserError: If an option does not begin with ``--data.``, or has no value.
    """
    changes: dict[str, Any] = {}
    remaining = iter(options)
    for option in remaining:
        flag, equals, value = option.partition("=")
        if not flag.startswith("--data."):
            raise UserError(f"there is no option {flag}; see {command} --help")
        text = value if equals else next(remaining, None)
        if text is None:
            raise UserError(f"{flag}: expected a value after the option, got nothing")
        changes[flag.removeprefix("--data.")] = yaml.safe_load(text)
    return changes
