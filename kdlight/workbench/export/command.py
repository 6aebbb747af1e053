"""``kdlight export RUN``: write a folder with the student, the settings for preparing images, and a model card.

Files in the formats onnx and torch-export are programs that include the normalisation: they take uint8 pixels in
batches of any size, return logits and run without kdlight. A file in the format safetensors holds weights only.
preparation.json holds the sizes for resizing and cropping, the mean and std for normalising, and the class names.
README.md is the model card; it contains a script that classifies an image with these files (for safetensors, a script
that loads the weights). The exported file is checked on test images: if its logits differ from those of the checkpoint
by more than rounding errors, nothing is written.
"""

from collections.abc import Sequence

from kdlight.cli.messages import silence_libraries
from kdlight.errors import UserError
from kdlight.files import parse_path
from kdlight.workbench.command_parser import CommandParser
from kdlight.workbench.data_options import read_data_options
from kdlight.workbench.export.formats import FILES, INT8


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    silence_libraries()
    options, others = make_parser().parse_known_args(arguments[1:])
    changes = read_data_options(others, "kdlight export")
    if options.quantize and options.format != "onnx":
        raise UserError(f"--quantize int8 needs --format onnx, got --format {options.format}")
    if options.images < 1:
        raise UserError(f"--images: expected at least 1, got {options.images}")
    # These modules import torch, which takes long. So they are imported only after --help and the parser's errors.
    from kdlight.workbench.export.deployed import require_onnx
    from kdlight.workbench.export.export_student import export_student
    from kdlight.workbench.finished_runs import Run

    if options.format == "onnx":
        require_onnx()

    run = Run(options.run, options.weights)
    output = options.output or run.folder / f"export-{options.format}"
    if output.exists():
        raise UserError(f"{output} exists already; remove it, or name a new folder with --output")
    check = export_student(run, options.format, output, options.quantize, options.images, changes, options.license)
    print(
        f"saved {output}: on {check.images} test images no logit differs from the checkpoint's by more than "
        f"{check.difference:.1e}"
    )
    if check.int8_accuracy is not None:
        print(
            f"int8: on these images, the accuracy is {100 * check.int8_accuracy:.2f} % instead of "
            f"{100 * check.accuracy:.2f} %; {INT8} predicts the checkpoint's class for "
            f"{100 * (check.int8_agreement or 0):.2f} % of the images"
        )


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser("kdlight export", description=__doc__)
    parser.add_run()
    parser.add_argument("--format", choices=tuple(FILES), default="onnx", help="format of the file; onnx by default")
    parser.add_argument("--quantize", choices=("int8",), help="also write an int8 file; needs --format onnx")
    parser.add_argument("--output", type=parse_path, metavar="DIR", help="a new folder; RUN/export-FORMAT by default")
    parser.add_argument("--images", type=int, default=500, metavar="N", help="number of test images for the check")
    parser.add_argument("--license", default="other", metavar="ID", help="licence for the card, such as apache-2.0")
    return parser
