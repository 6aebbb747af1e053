"""A sweep of W&B (Weights & Biases), whose agents train the runs of a grid."""

from pathlib import Path

import yaml

from kdlight.files import replace_file
from kdlight.workbench.ablate.grid import Grid


def write_sweep(grid: Grid, file: str, target: Path) -> None:
    """Write the sweep. For each group and seed, one agent calls ``kdlight ablate GRID --only=GROUP --seed=N``.

    The agents' runs appear in the sweep if ``loggers/wandb.yaml`` is in the grid's ``base``, with ``offline: false``.

    Args:
        grid: The grid.
        file: The path of the grid's file on the machines of the agents.
        target: The file into which the sweep is written.
    """
    groups = list(dict.fromkeys(cell.group for cell in grid.cells))
    seeds = sorted({cell.seed for cell in grid.cells})
    sweep = {
        "name": grid.name,
        "method": "grid",
        "metric": {"name": "val/accuracy", "goal": "maximize"},
        "parameters": {"only": {"values": groups}, "seed": {"values": seeds}},
        # The parameters are --only and --seed, not options such as model.temperature: W&B reads a dot as nesting.
        "command": ["${env}", "kdlight", "ablate", file, "${args}"],
    }
    with replace_file(target) as draft:
        draft.write_text(yaml.safe_dump(sweep, sort_keys=False), encoding="utf-8")
