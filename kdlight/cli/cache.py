"""``kdlight cache``: compute and store the teacher's outputs (the teacher cache) in advance, before runs use them."""

import time
from collections.abc import Sequence
from pathlib import Path

from kdlight.caching.store import DESCRIPTION
from kdlight.cli.build import build_experiment
from kdlight.cli.messages import silence_libraries


def main(arguments: Sequence[str]) -> None:
    """Build or check a teacher cache, and print its size."""
    silence_libraries()
    built = build_experiment("fit", arguments[1:])
    folder = Path(built.require_teacher_cache().path).expanduser()
    began, exists = time.perf_counter(), (folder / DESCRIPTION).is_file()
    trainer = built.fill_cache()
    if trainer.is_global_zero:
        size = sum(file.stat().st_size for file in folder.iterdir())
        done = f"{'checked' if exists else 'made'} in {time.perf_counter() - began:.1f} s"
        print(f"teacher cache {built.require_teacher_cache().path}: {size / 1e6:.1f} MB, {done}")
