"""``**base: Unpack[LearnerArguments]``: types of the arguments that a constructor passes on to its base class.

Type checkers and editors see `typing.Unpack`, so they complete and check these arguments. At run time it stands for
``Any``: jsonargparse would take the names from an unpacked dictionary, which has no defaults; without one it follows
``**base`` to the base class, where every default is written, once.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Unpack as Unpack
else:

    class Unpack:
        """Stands for `typing.Unpack` at run time."""

        def __class_getitem__(cls, arguments: type) -> Any:
            return Any
