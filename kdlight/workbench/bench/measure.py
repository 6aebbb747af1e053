"""Time configurations in turns with a bare training loop."""

import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from kdlight.files import replace_file
from kdlight.methods.base.distiller import Distiller
from kdlight.workbench.bench.bare_loop import BareLoop, Recipe, draw_random_images
from kdlight.workbench.bench.rates import BARE, Timing, compute_rates, describe_circumstances
from kdlight.workbench.bench.timed_fit import Loop, Pace, TimedFit

GIVEN = "bare loop with the teacher's logits given"
# Steps of a turn, without and with a GPU. A GPU needs longer turns, because its queue runs empty after each turn.
STEPS = {False: 5, True: 50}
AUTOCAST = {"16": torch.float16, "bf16": torch.bfloat16}


@contextmanager
def make_workplace() -> Iterator[Path]:
    """Yield a temporary folder for the timed runs. While it exists, Lightning logs nothing below warnings.

    W&B is offline from then on, unless the environment variable WANDB_MODE says otherwise.
    """
    os.environ.setdefault("WANDB_MODE", "offline")
    lightning = logging.getLogger("lightning.pytorch")
    level = lightning.level
    lightning.setLevel(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory(prefix="kdlight-bench-") as folder:
            yield Path(folder)
    finally:
        lightning.setLevel(level)


def measure(fits: dict[str, TimedFit], pace: Pace) -> dict[str, Any]:
    """Time configurations. Each takes turns with a bare loop, which trains the student of the first configuration.

    If the first configuration has a teacher, this configuration also takes turns with a second bare loop, which uses
    random logits instead of running the teacher.

    Args:
        fits: The configurations by name. The first is the one with which the others are compared.
        pace: The numbers of steps, warm-up steps and turns.

    Returns:
        The report, see `kdlight.workbench.bench.rates.compute_rates`.
    """
    first, *_ = fits.values()
    measured = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(fits) * (pace.turns + 1))
        loops = build_bare_loops(first)
        for name, fit in fits.items():

            def advance(_: int) -> int:
                progress.advance(task)
                return 0

            progress.update(task, description=f"{name}, in turns with the {' and the '.join(loops)}")
            stopwatch = fit.run(pace, {**loops, "progress": advance})
            progress.update(task, description=f"{name}, part by part")
            measured.append(Timing(name, stopwatch, *fit.measure_parts(pace._replace(turns=-(-pace.turns // 3)))))
            progress.advance(task)
            loops = {BARE: loops[BARE]}  # the loop with given logits is timed only with the first configuration
    loss = "KD" if isinstance(first.model, Distiller) else "cross-entropy"
    content = {**pace._asdict(), "bare_loss": loss, **describe_circumstances(first)}
    return content | compute_rates(measured, clock="cpu" if first.device.type == "cpu" else "wall")


def build_bare_loops(fit: TimedFit) -> dict[str, Loop]:
    """Build a bare loop that trains a configuration's student, with its teacher if it has one.

    If there is a teacher, also build a second loop, which does not run the teacher but uses random logits instead.
    """
    model, data = fit.model, fit.data
    augments = getattr(data, "augment", True)
    recipe = Recipe(
        batch_size=data.batch_size,
        padding=getattr(data, "crop_padding", Recipe().padding) if augments else 0,
        mirror=getattr(data, "mirror", True) and augments,
        mean=tuple(data.mean),
        std=tuple(data.std),
        autocast=AUTOCAST.get(fit.precision.partition("-")[0]),
    )
    images, target = draw_random_images(
        data.image_shape, model.student.num_classes, batch_size=recipe.batch_size, device=fit.device
    )
    if not isinstance(model, Distiller):
        return {BARE: BareLoop(model.student, None, images, target, recipe).run}
    teacher = model.teacher.model
    logits = torch.randn(len(images), model.student.num_classes, device=fit.device)
    return {
        BARE: BareLoop(model.student, teacher, images, target, recipe).run,
        GIVEN: BareLoop(model.student, teacher, images, target, recipe, given_logits=logits).run,
    }


def write_json(content: dict[str, Any], file: Path) -> None:
    """Write the measurements to a JSON file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(file) as draft:
        draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"saved {file}")
