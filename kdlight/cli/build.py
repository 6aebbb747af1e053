"""Build an experiment from options and files: parse them, find the run's folder, set the seed, create the objects."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml
from jsonargparse import ActionConfigFile, ArgumentError, Namespace  # type: ignore[attr-defined]
from lightning.pytorch import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.utilities import rank_zero_info

import kdlight.data
import kdlight.methods
from kdlight.cli.compose import compose
from kdlight.cli.imports import suggest
from kdlight.cli.objects import report_library_errors
from kdlight.cli.parse_errors import shorten_message
from kdlight.cli.parser import Parser
from kdlight.cli.run_place import find_place, require_same
from kdlight.cli.shipped import choose_configs, find_shipped_folder, split_configs
from kdlight.cli.short_help import ALL
from kdlight.cli.teachers import require_teachers
from kdlight.errors import UserError
from kdlight.internals import list_options
from kdlight.methods.base.learner import Learner
from kdlight.ranges import Seed
from kdlight.runs.experiment import Experiment
from kdlight.runs.folder import RunFolder


class ParsedConfig(NamedTuple):
    """A resolved configuration.

    Attributes:
        parser: The parser that it was read with.
        config: The values of all options, given ones and defaults.
        names: The configuration files after which the run is named; shipped files have the names that
            `kdlight configs` lists.
    """

    parser: Parser
    config: Namespace
    names: list[str]

    def to_yaml(self) -> str:
        """Return the configuration as YAML, in which the options that continue a run have their default values."""
        config = self.config.clone()
        config.ckpt_path, config.resume_changed = None, False
        config.pop("train_teacher", None)  # an option of this call of the command, not of the experiment
        text: str = self.parser.dump(config, skip_unset=False)
        return text


def make_run_parser(command: str) -> Parser:
    """Make the parser of ``kdlight fit|validate|test|predict``; all four take the same options."""
    parser = Parser(
        prog=f"kdlight {command}",
        description=f"The options of kdlight {command}.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("-c", "--config", action=ActionConfigFile, help="a configuration file; may be given repeatedly")
    parser.add_argument(
        "--seed_everything", type=bool | Seed, default=0, help="seed of weights, shuffling and augmentation"
    )
    parser.add_argument(
        "--train_teacher",
        action="store_true",
        help="train a missing teacher first, with the teacher's own configuration, on the images of this run",
    )
    parser.add_argument(
        "--ckpt_path",
        type=str | None,
        help="the path of a checkpoint; last or best: the run's checkpoint of this name; auto: start the run, continue "
        "it if it was interrupted, or do nothing if it has ended",
    )
    parser.add_argument(
        "--resume_changed",
        type=bool,
        default=False,
        help="continue from --ckpt_path even if the configuration is not the one that the run began with",
    )
    parser.add_lightning_class_args(Trainer, "trainer")
    parser.add_lightning_class_args(Learner, "model", subclass_mode=True)
    parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True)
    return parser


def parse(command: str, arguments: Sequence[str], *, announce: bool = True) -> ParsedConfig:
    """Read the options of a command and the files that they name.

    Args:
        command: The name of the command.
        arguments: The options given to the command.
        announce: Whether to print which shipped configurations are used.

    Raises:
        UserError: If an option is wrong. The message says which one, and what is expected.
    """
    given, others = split_configs(["--help" if argument == ALL else argument for argument in arguments])
    files, names, said = choose_configs(given)
    for line in said if announce else []:
        rank_zero_info(line)
    composed = compose(files) if files else {}
    if ALL in arguments:  # import all classes, because --help lists only subclasses that have been imported
        for package in (kdlight.methods, kdlight.data):
            for name in dir(package):
                getattr(package, name)
    parser = make_run_parser(command)
    options = sorted(list_options(parser))
    top_level = {option.partition(".")[0] for option in options}
    for key in composed:
        if key not in top_level:
            raise UserError(f"no option '{key}' at the top level of {', '.join(files)}{suggest(key, top_level)}")
        if isinstance(composed[key], list) or (key == "trainer" and not isinstance(composed[key], dict)):
            what = "a list" if isinstance(composed[key], list) else repr(composed[key])
            raise UserError(f"{', '.join(files)}: expected '{key}' to be a mapping, got {what}")
    try:
        config = parser.parse_args([*(["--config", yaml.safe_dump(composed)] if files else []), *others])
    except ArgumentError as error:
        raise UserError(shorten_message(str(error), options)) from None
    config.pop("config", None)
    return ParsedConfig(parser, config, names)


def build_experiment(command: str, arguments: Sequence[str], *, claim: bool = False) -> Experiment:
    """Build the experiment that the options of ``kdlight fit|validate|test|predict`` describe.

    The run's folder and checkpoint are looked for first, so that a missing file is reported before anything is built.

    Args:
        command: The name of the command.
        arguments: The options given to the command.
        claim: Whether to claim the run's folder, so that no other process writes to it until the fit has ended.

    Raises:
        UserError: If an option is wrong, or a checkpoint is missing.
        RunHasEndedError: If ``--ckpt_path`` is auto and the run has already ended.
    """
    parsed = parse(command, arguments)
    place = find_place(command, parsed.config, parsed.names)
    asked = parsed.config.pop("train_teacher")
    if require_teachers(parsed.config, _train_shipped if command == "fit" else None, asked=asked):
        # Parse again: the parser reads from the teacher's run how images are prepared. At the first parse, that run
        # did not exist.
        parsed = parse(command, arguments, announce=False)
        parsed.config.pop("train_teacher")
    config = parsed.config
    if command == "fit" and place.checkpoint is not None:
        require_same(parsed.to_yaml(), place, on_purpose=config.resume_changed)
    claimed = place.claim() if claim else None
    try:
        folder = claimed.folder if claimed else place.folder
        config.ckpt_path = place.checkpoint
        config.trainer.default_root_dir = str(folder.path)
        _place_loggers(config.trainer.logger, folder)
        config.seed_everything = _set_seed(config.seed_everything)
        text = parsed.to_yaml()
        with report_library_errors():
            built = parsed.parser.instantiate(config)
    except BaseException:
        if claimed:
            claimed.release()
        raise
    return Experiment(
        method=built.model,
        data=built.data,
        folder=folder,
        options=built.trainer.as_dict(),
        config=text,
        checkpoint=place.checkpoint,
        claim=claimed,
    )


def _set_seed(wanted: bool | int) -> int | bool:
    """Seed all random generators and return the seed. True means a random seed, False that nothing is seeded."""
    if wanted is False:
        return False
    return seed_everything(None if wanted is True else wanted, workers=True)


def _train_shipped(name: str, options: Sequence[str]) -> None:
    """Run ``kdlight fit`` for a shipped configuration, with options that say where its images lie."""
    given = ["--config", str(find_shipped_folder() / name), *options]
    teacher = build_experiment("fit", [*given, "--trainer.enable_progress_bar=false"], claim=True)
    teacher.command = " ".join(["kdlight", "fit", "--config", name, *options])
    teacher.fit()


def _place_loggers(config: Any, folder: RunFolder) -> None:
    """Give each logger without a folder the run's folder and, if it has no name either, the run's name."""
    for logger in config if isinstance(config, list) else [config]:
        arguments = logger.get("init_args") if isinstance(logger, Namespace) else None
        if arguments is not None and arguments.get("save_dir") in (None, "."):
            arguments["save_dir"] = str(folder.path)
            if "name" in arguments and arguments["name"] is None:
                arguments["name"] = "/".join(folder.path.parts[-2:])
