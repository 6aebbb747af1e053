"""A W&B sweep whose agents train the runs of a grid."""

from pathlib import Path

import yaml

from kdlight.files import replace_file
from kdlight.workbench.ablate.grid import Grid


def write_sweep(grid: Grid, file: str, target: Path) -> None:
    """Write the sweep. An agent calls ``kdlight ablate GRID --only=GROUP --seed=N``, so no run collides with another.

    The agents' runs appear in the sweep if ``loggers/wandb.yaml`` is in the grid's ``base``, with ``offline: false``.

    Args:
        grid: The grid.
        file: Its file, as the agents will find it.
        target: Where the sweep is written.
    """
    groups = list(dict.fromkeys(cell.group for cell in grid.cells))
    seeds = sorted({cell.seed for cell in grid.cells})
    sweep = {
        "name": grid.name,
        "method": "grid",
        "metric": {"name": "val/accuracy", "goal": "maximize"},
        "parameters": {"only": {"values": groups}, "seed": {"values": seeds}},
        # Dotted options are no parameters of the sweep: W&B reads their dots as nested dictionaries.
        "command": ["${env}", "kdlight", "ablate", file, "${args}"],
    }
    with replace_file(target) as draft:
        draft.write_text(yaml.safe_dump(sweep, sort_keys=False), encoding="utf-8")
