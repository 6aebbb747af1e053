"""``kdlight bench --config FILE``: how fast a configuration trains, where the time goes, and how fast it could train.

`kdlight fit` and a bare loop take turns of a few steps each, so that other programs on the machine slow both alike. The
bare loop is plain torch. It trains the same student on random images in memory: by KD if the configuration has a
teacher, and otherwise with the cross-entropy. On a GPU the ratios of speeds are computed from images per second, on a
CPU from images per CPU-second, which other programs hardly change. If a method trains in phases, steps of the first
phase are timed.
"""

import shlex
from collections.abc import Sequence

from rich.console import Console

from kdlight.cli.messages import silence_libraries
from kdlight.errors import UserError
from kdlight.files import parse_path
from kdlight.workbench.command_parser import CommandParser

USAGE = """kdlight bench --config FILE [OPTIONS] [OPTIONS OF kdlight fit]
       kdlight bench --config FILE --against "--model.compile=true" --against "--trainer.precision=bf16-mixed" """


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    silence_libraries()
    against, remaining = take_against(arguments[1:])
    options, others = make_parser().parse_known_args(remaining)
    for name in ("steps", "warmup", "repeat"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name}: expected 1 or more, got {value}")
    # These modules import torch, which takes long. So they are imported only after --help and the parser's errors.
    from kdlight.workbench.bench.measure import STEPS, make_workplace, measure, write_json
    from kdlight.workbench.bench.rates import print_report
    from kdlight.workbench.bench.timed_fit import FIT, Pace, TimedFit

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
