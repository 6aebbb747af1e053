"""``kdlight predict RUN [IMAGES…]``: use a run's student to predict the class of each image.

IMAGES are image files and folders of images, which need no labels; without IMAGES, the run's test set is predicted.
`kdlight predict --config FILE --ckpt_path best` writes the probabilities of all classes for the test set into the run's
folder.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from kdlight.cli.messages import silence_libraries
from kdlight.errors import UserError
from kdlight.files import parse_path, replace_file
from kdlight.workbench.command_parser import CommandParser
from kdlight.workbench.data_options import read_data_options


def main(arguments: Sequence[str]) -> None:
    """Run the command. If options are given instead of a run, predict as ``kdlight predict --config`` does."""
    if arguments[1:2] and arguments[1].startswith("-") and arguments[1] not in ("-h", "--help"):
        from kdlight.cli.run import main as run

        run(arguments)
        return
    silence_libraries()
    options, others = make_parser().parse_known_args(arguments[1:])
    changes = read_data_options(others, "kdlight predict")
    # These modules import torch, which takes long. So they are imported only after --help and the parser's errors.
    import torch

    from kdlight.runs.preparation import Preparation
    from kdlight.workbench.finished_runs import Run
    from kdlight.workbench.predict.predictions import (
        find_preparation,
        list_files,
        predict_files,
        predict_test_set,
        write_rows,
    )

    run_ = Run(options.run, options.weights)
    output = str(run_.files.predictions if options.output is None else options.output)
    if output != "-" and Path(output).suffix not in (".csv", ".jsonl"):
        raise UserError(f"--output: expected a file that ends with .csv or .jsonl (or - for stdout), got {output}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    student = run_.student().to(device)
    if options.images:
        prepared = find_preparation(run_, changes)
        predicted = predict_files(student, prepared, list_files(options.images), options.batch_size, options.broken)
    else:
        data = run_.data(changes)
        prepared = Preparation.of(data)
        predicted = predict_test_set(student, data)
    if output == "-":
        write_rows(predicted, prepared.class_names, sys.stdout, every_class=options.all, lines=False)
        return
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    with replace_file(Path(output)) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
        lines = output.endswith(".jsonl")
        count = write_rows(predicted, prepared.class_names, stream, every_class=options.all, lines=lines)
    print(f"saved {output}: {count} images")


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser("kdlight predict", description=__doc__)
    parser.add_run()
    parser.add_argument(
        "images", nargs="*", type=parse_path, metavar="IMAGES", help="image files and folders; default: the test set"
    )
    parser.add_argument(
        "--output",
        type=parse_path,
        metavar="FILE",
        help="a .csv or a .jsonl file, or - for CSV on the terminal; RUN/predictions.csv by default",
    )
    parser.add_argument("--all", action="store_true", help="write the probabilities of all classes, too")
    parser.add_argument(
        "--broken",
        choices=("refuse", "skip"),
        default="refuse",
        help="if files cannot be decoded: refuse (the default) ends with an error, skip leaves them out",
    )
    parser.add_argument("--batch_size", type=int, default=64, metavar="N", help="number of IMAGES per forward pass")
    return parser
