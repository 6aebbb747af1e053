"""From arguments and files to an experiment: parse, find the run's folder, seed, build."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonargparse import ActionConfigFile, ArgumentError, Namespace  # type: ignore[attr-defined]
from lightning.pytorch import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.utilities import rank_zero_info

from kdlight.cli.compose import compose
from kdlight.cli.imports import nearest
from kdlight.cli.parse_errors import readable
from kdlight.cli.parser import Parser, teacher_holders
from kdlight.errors import MissingFileError, UserError
from kdlight.methods.base.learner import Learner
from kdlight.runs.experiment import Experiment
from kdlight.runs.folder import RunFolder, command_for, default_folder, latest, next_free

CONFIG_FLAGS = ("-c", "--config")
NAMED_CHECKPOINTS = ("last", "best")


class Parsed(NamedTuple):
    """A resolved configuration.

    Attributes:
        parser: The parser that it was read with.
        config: What was given, and the defaults of everything else.
        files: The configuration files, in their order.
    """

    parser: Parser
    config: Namespace
    files: list[str]

    def yaml(self) -> str:
        """The configuration as a file that runs again."""
        text: str = self.parser.dump(self.config, skip_unset=False)
        return text


def run_parser(command: str) -> Parser:
    """Make the parser of ``kdlight fit|validate|test|predict``; all four take the same options."""
    parser = Parser(
        prog=f"kdlight {command}",
        description=f"The options of kdlight {command}.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("-c", "--config", action=ActionConfigFile, help="a configuration file; several are merged")
    parser.add_argument(
        "--seed_everything", type=bool | int, default=0, help="seed of weights, shuffling and augmentation"
    )
    parser.add_argument("--ckpt_path", type=str | None, help="a checkpoint's path, or last or best: that of the run")
    parser.add_lightning_class_args(Trainer, "trainer")
    parser.add_lightning_class_args(Learner, "model", subclass_mode=True)
    parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True)
    return parser


def parse(command: str, arguments: Sequence[str]) -> Parsed:
    """Read the options of a command and the files that they name.

    Raises:
        UserError: If one is wrong; the message says where and what would be right.
    """
    files, others = split_configs(arguments)
    composed = compose(files) if files else {}
    parser = run_parser(command)
    options = sorted({action.dest for action in parser._actions})
    top_level = {option.partition(".")[0] for option in options}
    for key in composed:
        if key not in top_level:
            raise UserError(f"no option '{key}' at the top level of {', '.join(files)}{nearest(key, top_level)}")
        if isinstance(composed[key], list):
            raise UserError(f"{', '.join(files)}: expected '{key}' to be a mapping, got a list")
    try:
        config = parser.parse_args([*(["--config", yaml.safe_dump(composed)] if files else []), *others])
    except ArgumentError as error:
        raise UserError(readable(str(error), options)) from None
    config.pop("config", None)
    return Parsed(parser, config, files)


def build_experiment(command: str, arguments: Sequence[str]) -> Experiment:
    """Build what the options of ``kdlight fit|validate|test|predict`` describe.

    The run's folder and checkpoint are looked for first, so that a missing one is said before anything is built.

    Raises:
        UserError: If an option is wrong, or a checkpoint is missing.
    """
    parsed = parse(command, arguments)
    config = parsed.config
    folder = _place(command, config, parsed.files)
    config.seed_everything = _seed(config.seed_everything)
    text = parsed.yaml()
    built = parsed.parser.instantiate(config)
    return Experiment(
        method=built.model,
        data=built.data,
        folder=folder,
        options=built.trainer.as_dict(),
        config=text,
        checkpoint=config.ckpt_path,
    )


def _seed(wanted: bool | int) -> int | bool:
    """Seed everything; ``true`` draws a seed."""
    if wanted is False:
        return False
    return seed_everything(None if wanted is True else wanted, workers=True)


def _place(command: str, config: Namespace, files: list[str]) -> RunFolder:
    """Find the run's folder and its checkpoint, and write both into the configuration."""
    fitting = command == "fit"
    root = config.trainer.default_root_dir
    base = Path(root) if root else default_folder(files)
    checkpoint = config.ckpt_path
    if fitting and checkpoint is None:
        folder = next_free(base)
    else:  # a folder that was named is meant, whatever stands beside it
        folder = RunFolder(base) if root else latest(base, checkpoint or "last")
    if checkpoint in NAMED_CHECKPOINTS:
        checkpoint = str(folder.checkpoint(checkpoint))
    if checkpoint is not None:
        require_file(checkpoint, "leave --ckpt_path out to start a run" if fitting else "train first: kdlight fit")
        if not fitting:
            rank_zero_info(f"measuring {checkpoint}")
    elif not fitting and config.model.init_args.get("student_weights") is None:
        raise UserError(
            f"kdlight {command} would measure an untrained student: give --ckpt_path best (or last, or a path) or "
            "--model.student_weights"
        )
    for holder in teacher_holders(config):
        if holder.get("teacher_weights") is not None:
            made_by = command_for(holder.teacher_weights)
            require_file(holder.teacher_weights, f"make it: {made_by}" if made_by else "give the teacher's weights")
    config.ckpt_path = checkpoint
    config.trainer.default_root_dir = str(folder.path)
    _place_loggers(config.trainer.logger, folder)
    return folder


def require_file(path: str, remedy: str) -> None:
    """Say what to do about a checkpoint that is not there."""
    if not Path(path).is_file():
        raise MissingFileError(f"no checkpoint at {path}; {remedy}")


def _place_loggers(config: Any, folder: RunFolder) -> None:
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
