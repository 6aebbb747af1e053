"""Errors that a user can mend. The command line prints their messages, in at most three lines, without a traceback.

`UserError` is a `ValueError`, so code that calls kdlight from Python may catch either of the two.
"""


class UserError(ValueError):
    """The user gave something that cannot work; the message says what was expected, what was given and what to do."""


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that the user named does not exist."""
