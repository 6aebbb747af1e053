"""Find image files that cannot be decoded, name and count them, and leave them out of a listing."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_warn

from kdlight.data.sources.decoding import decode
from kdlight.data.sources.listing import Listing
from kdlight.errors import UserError

NAMED = 5  # how many broken files a message names


def leave_out_broken(root: Path, listing: Listing) -> Listing:
    """Return the listing without files that cannot be decoded. A warning counts these and names the first five.

    Every file is decoded once, in threads.

    Args:
        root: The folder to which the paths are relative.
        listing: The image files in this folder, with their classes.

    Raises:
        UserError: If no file can be decoded.
    """
    intact = check_intact(root, listing.paths)
    broken = [path for path, whole in zip(listing.paths, intact, strict=True) if not whole]
    if not broken:
        return listing
    if len(broken) == len(intact):
        raise UserError(
            f"none of the {len(intact)} images below {root.absolute()} can be decoded: {name_first(broken)}"
        )
    rank_zero_warn(
        f"'broken: skip' leaves out {len(broken)} of {len(intact)} images below {root.absolute()}, which cannot be "
        f"decoded: {name_first(broken)}"
    )
    kept = [path for path, whole in zip(listing.paths, intact, strict=True) if whole]
    return Listing(kept, listing.target[torch.tensor(intact)])


def check_intact(root: Path, paths: Sequence[str]) -> list[bool]:
    """Decode every file, in threads, and return for each whether this succeeded.

    Args:
        root: The folder to which the paths are relative.
        paths: The paths of the files.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda path: _is_intact(root / path), paths))


def name_first(paths: Sequence[str]) -> str:
    """Return the first five paths as one text, with an ellipsis if there are more."""
    return ", ".join(paths[:NAMED]) + (", …" if len(paths) > NAMED else "")


def _is_intact(path: Path) -> bool:
    try:
        decode(path, coarse=True)
    except UserError:
        return False
    return True
