"""``kdlight fit|validate|test|predict``: build the experiment that files and options describe, and run it."""

import sys
from collections.abc import Sequence

from kdlight.cli.messages import silence_libraries
from kdlight.cli.shipped import choose_configs, split_configs


def main(arguments: Sequence[str]) -> None:
    """Run ``fit``, ``validate``, ``test`` or ``predict``."""
    silence_libraries()
    command, *options = arguments
    choose_configs(split_configs(options)[0])  # reports a missing file before the slow import of torch
    from kdlight.cli.build import build_experiment

    built = build_experiment(command, options, claim=command == "fit")
    if command == "fit":
        built.command = " ".join(["kdlight", *sys.argv[1:]])
        built.fit()
    elif command == "validate":
        built.validate()
    elif command == "test":
        built.test()
    else:
        from kdlight.runs.predictions import write_predictions

        names = getattr(built.data, "class_names", range(built.method.student.num_classes))
        write_predictions(built.predict(), [str(name) for name in names], built.folder)
        print(f"saved {built.folder.predictions}")
