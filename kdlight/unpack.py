"""``**base: Unpack[LearnerArguments]`` declares the arguments that a constructor passes on to its base class.

`LearnerArguments` is a `TypedDict` of arguments. Type checkers and editors see `typing.Unpack`, so they complete and
check these arguments. At run time ``Unpack[LearnerArguments]`` is ``Any``. Then jsonargparse, which builds the
command line, looks for the arguments in the base class, which has their defaults. From `typing.Unpack` jsonargparse
would take the arguments of `LearnerArguments`, which has no defaults.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Unpack as Unpack
else:

    class Unpack:
        """Replaces `typing.Unpack` at run time."""

        def __class_getitem__(cls, arguments: type) -> Any:
            return Any
