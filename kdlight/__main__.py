"""The ``kdlight`` command.

This file imports nothing heavy, so that the help and the message about a mistyped command appear at once.
"""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence

from kdlight.cli.messages import DEBUG, report_errors

RUN = "kdlight.cli.run"

# Command: (module whose `main(argv)` runs it, one line of help).
COMMANDS = {
    "fit": (RUN, "train a student (or a teacher) and test it"),
    "validate": (RUN, "measure a checkpoint on the validation split"),
    "test": (RUN, "measure a checkpoint on the test set"),
    "predict": ("kdlight.workbench.predict.command", "predict the classes of images, or of the test set"),
    "export": (
        "kdlight.workbench.export.command",
        "write a student as ONNX, torch.export or safetensors, with a model card",
    ),
    "cache": ("kdlight.cli.cache", "compute and store a teacher's outputs on the training images"),
    "bench": ("kdlight.workbench.bench.command", "time the parts of a training step, and a plain PyTorch loop"),
    "pid": (
        "kdlight.workbench.pid.command",
        "measure how much information two networks, or two arrays, share about the label",
    ),
    "evaluate": (
        "kdlight.workbench.evaluate.command",
        "measure calibration, robustness and costs of a run's student",
    ),
    "models": ("kdlight.workbench.list_models", "list the networks, and the weights published for them"),
    "data": ("kdlight.workbench.list_data", "list the data modules"),
    "methods": ("kdlight.workbench.list_methods", "list the methods, or show one with its arguments"),
    "configs": ("kdlight.workbench.list_configs", "list the configurations that come with kdlight, or copy them"),
    "ablate": ("kdlight.workbench.ablate.command", "train a run for each combination of the values in a grid"),
    "report": ("kdlight.workbench.report.command", "write one page about finished runs, with commands to repeat them"),
    "dashboard": (
        "kdlight.workbench.dashboard",
        "write a W&B workspace (the charts of a project's runs) to a file; --save also saves the workspace in W&B",
    ),
    "completion": ("kdlight.workbench.completion", "print a script that completes commands and options in a shell"),
    "compare": (
        "kdlight.workbench.compare.command",
        "print finished runs as a table, and plot how much information student and teacher share about the label",
    ),
}
TAKE_OPTIONS_OF_FIT = (RUN, "kdlight.cli.cache")
HELP = """usage: kdlight COMMAND [OPTIONS]

Run knowledge distillation experiments, and measure how much information student and teacher share about the label.

{commands}

kdlight fit --config rid.yaml                      run a configuration (a file, or a name from `kdlight configs`)
kdlight fit --config FILE --trainer.max_epochs 3   any value can be overridden
kdlight fit --config FILE --print_config           print the resolved configuration
kdlight fit --config FILE --ckpt_path last         continue a run that was stopped
kdlight COMMAND --help                             print the options of a command
kdlight COMMAND … --debug                          show the traceback of an error"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 (success), 2 (a user's mistake), 130 (Ctrl-C) or 143 (SIGTERM)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments else "--help"
    if command in ("-h", "--help"):
        lines = (f"  {name:<12}{text}" for name, (_, text) in COMMANDS.items())
        print(HELP.format(commands="\n".join(lines)))
        return 0
    if command == "--version":
        from importlib.metadata import version

        print(f"kdlight {version('kdlight')}")
        return 0
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"expected one of {', '.join(COMMANDS)}"
        print(f"kdlight: no command '{command}'; {hint}", file=sys.stderr)
        return 2
    if COMMANDS[command][0] in TAKE_OPTIONS_OF_FIT and {"-h", "--help"} & set(arguments):
        from kdlight.cli.short_help import format_short_help

        print(format_short_help(command))
        return 0
    # By default the threads of OpenMP spin while they wait. If several processes share the cores, spinning threads keep
    # other threads from computing, and small networks train many times slower. OMP_WAIT_POLICY is read when torch is
    # imported, so it is set before that.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "--debug" in arguments:
        arguments.remove("--debug")
        os.environ[DEBUG] = "1"  # the processes of a distributed run inherit it
    if "" not in sys.path:
        sys.path.append("")  # the working folder, in which the user's own classes may be
    with report_errors() as outcome:
        importlib.import_module(COMMANDS[command][0]).main(arguments)
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
