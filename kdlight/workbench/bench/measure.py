"""``kdlight bench --config FILE``: how fast a configuration trains, where the time goes, and how fast it could train.

`kdlight fit` and a bare loop take turns of a few steps each, so that other programs on the machine slow both alike. The
bare loop is plain torch. It trains the same student on random images in memory: by KD if the configuration has a
teacher, and otherwise with the cross-entropy. On a GPU the ratios of speeds are computed from images per second, on a
CPU from images per CPU-second, which other programs hardly change. If a method trains in phases, steps of the first
phase are timed.
"""

import json
import logging
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from kdlight.cli.messages import silence_libraries
from kdlight.errors import UserError
from kdlight.files import parse_path, replace_file
from kdlight.methods.base.distiller import Distiller
from kdlight.workbench.bench.bare_loop import BareLoop, Recipe, draw_random_images
from kdlight.workbench.bench.rates import BARE, Timing, compute_rates, describe_circumstances, print_report
from kdlight.workbench.bench.timed_fit import FIT, Loop, Pace, TimedFit
from kdlight.workbench.command_parser import CommandParser

USAGE = """kdlight bench --config FILE [OPTIONS] [OPTIONS OF kdlight fit]
       kdlight bench --config FILE --against "--model.compile=true" --against "--trainer.precision=bf16-mixed" """
GIVEN = "bare loop with the teacher's logits given"
# Steps of a turn, without and with a GPU. A GPU needs longer turns, because its queue runs empty after each turn.
STEPS = {False: 5, True: 50}
AUTOCAST = {"16": torch.float16, "bf16": torch.bfloat16}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    silence_libraries()
    against, remaining = take_against(arguments[1:])
    options, others = make_parser().parse_known_args(remaining)
    for name in ("steps", "warmup", "repeat"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name}: expected 1 or more, got {value}")
    command = shlex.join(["kdlight", *arguments])
    with make_workplace() as folder:
        fits = {
            " ".join(change) or FIT: TimedFit.build([*others, *change], folder / str(place))
            for place, change in enumerate([[], *against])
        }
        steps = options.steps or STEPS[fits[FIT].device.type == "cuda"]
        content = measure(fits, Pace(steps, options.warmup, options.repeat))
    content = {"command": command, **content}
    print_report(content, Console())
    if options.json is not None:
        write_json(content, options.json)


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser(
        "kdlight bench",
        USAGE,
        description=__doc__,
        epilog="All other options are those of `kdlight fit`.",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="steps of a turn; default: 5 on a CPU, 50 on a GPU")
    parser.add_argument("--warmup", type=int, default=5, metavar="N", help="steps before the first turn")
    parser.add_argument("--repeat", type=int, default=20, metavar="N", help="number of turns; medians are shown")
    parser.add_argument("--json", type=parse_path, metavar="FILE", help="write all measurements to this file")
    parser.add_argument(
        "--against", metavar="OPTIONS", help="also time the configuration with these further options; repeatable"
    )
    return parser


def take_against(options: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    """Separate ``--against OPTIONS`` from the other options, because argparse refuses values that begin with dashes.

    Raises:
        UserError: If no options follow ``--against``, or a quote in them is not closed.
    """
    against, others = [], []
    remaining = iter(options)
    for option in remaining:
        flag, equals, value = option.partition("=")
        if flag != "--against":
            others.append(option)
            continue
        text = value if equals else next(remaining, "")
        try:
            change = shlex.split(text)
        except ValueError as error:
            raise UserError(f"--against {text}: {error}") from None
        if not change:
            raise UserError("--against: expected options of kdlight fit in quotes after it, got nothing")
        against.append(change)
    return against, others


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
