"""Import an object by its path, and suggest a name that is similar to a misspelt one."""

import difflib
import importlib
import itertools
from collections.abc import Iterable
from typing import Any


def import_object(path: str) -> Any:
    """Import the object of a path such as ``kdlight.models.resnet20``; return None if there is no such object."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None) if module else None
    except ImportError:
        return None


def suggest(wrong: str, right: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?``, or an empty text if no name is similar."""
    found = difflib.get_close_matches(wrong, list(right), n=5, cutoff=0.6)
    # Of the similar names, suggest the one with the longest common beginning: for resnet21, resnet20 and not resnet32.
    found.sort(key=lambda name: -_count_shared(name, wrong))
    return f"; did you mean '{found[0]}'?" if found else ""


def _count_shared(first: str, second: str) -> int:
    """Return how many letters two names have in common at their beginning."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
