"""``kdlight fit|validate|test|predict``: Lightning's command line with kdlight's runs, configurations and messages."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, Namespace
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities import rank_zero_info

from kdlight.cli.compose import compose
from kdlight.cli.imports import nearest
from kdlight.cli.messages import quiet
from kdlight.cli.parse_errors import readable
from kdlight.cli.parser import Parser, teacher_holders
from kdlight.errors import MissingFileError, UserError
from kdlight.methods.base.learner import Learner
from kdlight.runs.fit import equip, fit_and_test
from kdlight.runs.folder import RunFolder, command_for, default_folder, latest, next_free
from kdlight.runs.predictions import write_predictions
from kdlight.runs.stops import Stops

CONFIG_FLAGS = ("-c", "--config")
NAMED_CHECKPOINTS = ("last", "best")


class KdlightCLI(LightningCLI):
    """LightningCLI whose runs have a folder each.

    Args:
        arguments: The subcommand and its options.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        subcommand, *options = arguments
        self.files, others = split_configs(options)
        self.composed = compose(self.files) if self.files else {}
        composed = ["--config", yaml.safe_dump(self.composed)] if self.files else []
        exits = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            Learner,
            LightningDataModule,
            save_config_callback=None,
            seed_everything_default=0,
            parser_kwargs={**exits, **{name: dict(exits) for name in self.subcommands()}},
            parser_class=Parser,
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=[subcommand, *composed, *others],
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Parse the arguments of `__init__`.

        Raises:
            UserError: If they are wrong; the message says where and what would be right.
        """
        options = sorted({action.dest for action in self._parser(args[0])._actions})
        top_level = {option.partition(".")[0] for option in options}
        for key in self.composed:
            if key not in top_level:
                raise UserError(
                    f"no option '{key}' at the top level of {', '.join(self.files)}{nearest(key, top_level)}"
                )
            if isinstance(self.composed[key], list):
                raise UserError(f"{', '.join(self.files)}: expected '{key}' to be a mapping, got a list")
        try:
            self.config = parser.parse_args(args)
        except ArgumentError as error:
            raise UserError(readable(str(error), options)) from None

    def _parse_ckpt_path(self) -> None:
        """Leave a checkpoint's hyper-parameters alone: the configuration says everything."""

    def before_instantiate_classes(self) -> None:
        """Find the run's folder and the checkpoint, so that a missing one is said before anything is built."""
        fitting, config = self.subcommand == "fit", self.config[self.subcommand]
        root = config.trainer.default_root_dir
        base = Path(root) if root else default_folder(self.files)
        checkpoint = config.get("ckpt_path")
        if fitting and checkpoint is None:
            self.folder = next_free(base)
        else:  # a folder that was named is meant, whatever stands beside it
            self.folder = RunFolder(base) if root else latest(base, checkpoint or "last")
        if checkpoint in NAMED_CHECKPOINTS:
            checkpoint = str(self.folder.checkpoint(checkpoint))
        if checkpoint is not None:
            require_file(checkpoint, "leave --ckpt_path out to start a run" if fitting else "train first: kdlight fit")
            if not fitting:
                rank_zero_info(f"measuring {checkpoint}")
        elif not fitting and config.model.init_args.get("student_weights") is None:
            raise UserError(
                f"kdlight {self.subcommand} would measure an untrained student: give --ckpt_path best (or last, or a "
                "path) or --model.student_weights"
            )
        for holder in teacher_holders(config):
            if holder.get("teacher_weights") is not None:
                command = command_for(holder.teacher_weights)
                require_file(holder.teacher_weights, f"make it: {command}" if command else "give the teacher's weights")
        config.ckpt_path, config.weights_only = checkpoint, True
        config.trainer.default_root_dir = str(self.folder.path)
        place_loggers(config.trainer.logger, self.folder)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with what every run has."""
        options = self._get(self.config_init, "trainer").as_dict()
        fitting = self.subcommand == "fit"
        config = self._parser("fit").dump(self.config["fit"], skip_unset=False) if fitting else None
        return Trainer(**{**options, **equip(options, self.folder, self.datamodule, config=config), **kwargs})

    def fit(self, model: Learner, datamodule: LightningDataModule, ckpt_path: str | None, weights_only: bool) -> None:
        """Train, then test the last and the selected weights."""
        try:
            fit_and_test(self.trainer, model, datamodule, self.folder, ckpt_path=ckpt_path)
        except (KeyboardInterrupt, SystemExit):
            last = self.folder.checkpoint("last")
            if last.is_file() and self.trainer.is_global_zero:
                hint = f"the last position is in {last}, go on with the same command and --ckpt_path last"
                print(f"kdlight: stopped; {hint}", file=sys.stderr)
            callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
            if any(isinstance(callback, Stops) and callback.received == signal.SIGINT for callback in callbacks):
                raise KeyboardInterrupt from None  # `Stops` ends both signals' runs by the exception of SIGTERM
            raise

    def predict(self, model: Learner, datamodule: LightningDataModule, ckpt_path: str | None, **options: Any) -> None:
        """Write ``predictions.csv`` into the run's folder."""
        batches: Any = self.trainer.predict(model, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
        names = getattr(datamodule, "class_names", range(model.student.num_classes))
        write_predictions(batches or [], [str(name) for name in names], self.folder)
        print(f"saved {self.folder.predictions}")


def main(arguments: Sequence[str]) -> None:
    """Run one of the four commands."""
    quiet()
    KdlightCLI(arguments)


def require_file(path: str, remedy: str) -> None:
    """Say what to do about a checkpoint that is not there."""
    if not Path(path).is_file():
        raise MissingFileError(f"no checkpoint at {path}; {remedy}")


def place_loggers(config: Any, folder: RunFolder) -> None:
    """Let loggers that were told no place write into the run's folder, under its name."""
    for logger in config if isinstance(config, list) else [config]:
        arguments = logger.get("init_args") if isinstance(logger, Namespace) else None
        if arguments is not None and arguments.get("save_dir") in (None, "."):
            arguments["save_dir"] = str(folder.path)
            if "name" in arguments and arguments["name"] is None:
                arguments["name"] = "/".join(folder.path.parts[-2:])


def split_configs(options: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take the ``--config FILE`` pairs out of the options."""
    files, others = [], []
    remaining = iter(options)
    for option in remaining:
        flag, equals, value = option.partition("=")
        if flag not in CONFIG_FLAGS:
            others.append(option)
        elif equals:
            files.append(value)
        else:
            file = next(remaining, None)
            if file is None:
                raise UserError(f"{option}: expected a YAML file behind it, got nothing")
            files.append(file)
    return files, others
