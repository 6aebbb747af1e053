"""``kdlight evaluate RUN``: accuracy, calibration and robustness of a student on the test set, and its costs.

Calibration is measured by the expected calibration error: how far accuracy and predicted probability differ in 15 bins
of the probability. If there is a validation split, the error is also measured after the logits have been divided by a
temperature that is fitted on this split. Robustness is the accuracy under seven fixed corruptions of the images. The
costs of student and teacher are parameters, operations and file size, and the memory and latency of a forward pass with
1 and with 64 images. The values are saved in the run's folder, as evaluation.json.
"""

import json
from collections.abc import Sequence

from rich.console import Console

from kdlight.cli.messages import silence_libraries
from kdlight.errors import UserError
from kdlight.files import replace_file
from kdlight.workbench.command_parser import CommandParser
from kdlight.workbench.data_options import read_data_options

LONGEST = 3600  # the largest --seconds


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    silence_libraries()
    options, others = make_parser().parse_known_args(arguments[1:])
    changes = read_data_options(others, "kdlight evaluate")
    if options.threads is not None and options.threads < 1:
        raise UserError(f"--threads: expected at least 1, got {options.threads}")
    if not 0 < options.seconds <= LONGEST:
        raise UserError(f"--seconds: expected more than 0 and at most {LONGEST}, got {options.seconds}")
    # These modules import torch, which takes long. So they are imported only after --help and the parser's errors.
    import torch

    from kdlight.workbench.evaluate.evaluate_run import evaluate_run, show
    from kdlight.workbench.finished_runs import Run

    run = Run(options.run, options.weights)
    measured = evaluate_run(run, changes, threads=options.threads or torch.get_num_threads(), seconds=options.seconds)
    file = run.folder / "evaluation.json"
    with replace_file(file) as draft:
        draft.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    show(measured, Console())
    print(f"saved {file}")


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser("kdlight evaluate", description=__doc__)
    parser.add_run()
    parser.add_argument("--threads", type=int, metavar="N", help="number of CPU threads; default: as torch chooses")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="time for measuring each latency")
    return parser
