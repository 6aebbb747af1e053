"""`kdlight.fit`: the ``fit`` command as a Python function that takes a configuration or objects."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import yaml
from jsonargparse import ArgumentError
from lightning.pytorch import LightningDataModule, seed_everything

from kdlight.arguments import describe, has_unknown
from kdlight.cli.build import build_experiment, make_run_parser
from kdlight.cli.messages import suppress_noise
from kdlight.cli.run_place import RunHasEndedError, find_place_of_fit, require_same
from kdlight.errors import UserError
from kdlight.methods.base.learner import Learner
from kdlight.runs.experiment import Experiment
from kdlight.runs.folder import RUNS
from kdlight.workbench.finished_runs import Run

RESUME = "the same call and ckpt_path='last'"


@overload
def fit(
    experiment: str | Path | Sequence[str | Path],
    changes: Mapping[str, Any] | None = None,
    *,
    seed: int | None = None,
    folder: str | Path | None = None,
    ckpt_path: str | Path | None = None,
    resume_changed: bool = False,
    **trainer: Any,
) -> Run: ...


@overload
def fit(
    experiment: Learner,
    changes: LightningDataModule,
    *,
    seed: int | None = None,
    folder: str | Path | None = None,
    ckpt_path: str | Path | None = None,
    resume_changed: bool = False,
    **trainer: Any,
) -> Run: ...


def fit(
    experiment: str | Path | Sequence[str | Path] | Learner,
    changes: Mapping[str, Any] | LightningDataModule | None = None,
    *,
    seed: int | None = None,
    folder: str | Path | None = None,
    ckpt_path: str | Path | None = None,
    resume_changed: bool = False,
    **trainer: Any,
) -> Run:
    """Train and test a student, as the command ``kdlight fit`` does, and return the run.

    With a configuration::

        run = kdlight.fit("digits/rid.yaml", {"model.lambda2": 0.1}, seed=1)

    With objects::

        method = KD(resnet8(10, (1, 8, 8)), Frozen(teacher))
        run = kdlight.fit(method, DigitsDataModule(), max_epochs=10, folder="runs/mine")

    In both cases the run has a folder with a log, checkpoints and ``result.json``. Ctrl-C stops the run and saves its
    position; the same call with ``ckpt_path="last"`` continues it. Outside the main thread, Ctrl-C and other signals
    cannot stop a run.

    Args:
        experiment: One configuration file, a list of several, or a method as an object.
        changes: With a configuration: values to change, by their dotted names, as on the command line. With a method:
            the data module.
        seed: Seed of shuffling and augmentation. With a configuration, also of the initial weights; networks given as
            objects already have weights. None: the configuration's seed, or 0.
        folder: The run's folder. None: ``runs/NAME``, where NAME is the name of the configuration, or the name of the
            method's class in lower case. An existing folder is never overwritten: if there is one, the new run's folder
            gets a number at the end of its name.
        ckpt_path: "last", "best" or a path: continue from this checkpoint. Without `folder`, "last" and "best" are
            those of the newest run in ``runs/NAME``, ``runs/NAME-2``, …. "auto": start the run if it does not exist,
            continue it if it was interrupted, and do nothing if it has ended.
        resume_changed: Continue the run even if it began with another configuration.
        trainer: Further arguments of Lightning's `Trainer`, such as ``max_epochs``.

    Raises:
        UserError: If an argument is wrong; the message says what is expected.
    """
    if trainer.get("fast_dev_run"):
        raise UserError("fast_dev_run leaves no run to return; give max_epochs=1 and limit_train_batches=1 instead")
    with suppress_noise():
        try:
            if isinstance(experiment, Learner):
                built = _build_from_objects(
                    experiment, changes, seed, folder, ckpt_path, trainer, resume_changed=resume_changed
                )
            else:
                if not isinstance(changes, Mapping | None):
                    raise UserError(
                        "changes: expected a mapping of dotted names to values, such as {'model.lambda2': 0.1}, got "
                        f"{type(changes).__name__}"
                    )
                given = {**(changes or {}), **({"resume_changed": True} if resume_changed else {})}
                built = _build_from_files(experiment, given, seed, folder, ckpt_path, trainer)
        except RunHasEndedError as ended:
            return Run(ended.folder.path)
        built.resume = RESUME
        built.fit()
    return Run(built.folder.path)


def _build_from_files(
    files: str | Path | Sequence[str | Path],
    changes: Mapping[str, Any],
    seed: int | None,
    folder: str | Path | None,
    ckpt_path: str | Path | None,
    trainer: dict[str, Any],
) -> Experiment:
    files = [files] if isinstance(files, str | Path) else list(files)
    values = {**changes, **{f"trainer.{name}": value for name, value in trainer.items()}}
    named = {"seed_everything": seed, "trainer.default_root_dir": folder, "ckpt_path": ckpt_path}
    values |= {name: value for name, value in named.items() if value is not None}
    options = [f"--config={file}" for file in files]
    options += [f"--{name}={_write_value(name, value)}" for name, value in values.items()]
    built = build_experiment("fit", options, claim=True)
    built.command = " ".join(["kdlight fit", *options])
    return built


def _write_value(name: str, value: Any) -> str:
    """Return a value in the form that the command line expects."""
    described = describe(value)
    if has_unknown(described):
        raise UserError(
            f"{name}: expected a value that a configuration can hold, got {type(value).__name__}; describe it as "
            "{'class_path': …, 'init_args': {…}}, or call kdlight.fit with a method and data as objects"
        )
    return described if isinstance(described, str) else json.dumps(described)


def _build_from_objects(
    method: Learner,
    data: Any,
    seed: int | None,
    folder: str | Path | None,
    ckpt_path: str | Path | None,
    trainer: dict[str, Any],
    *,
    resume_changed: bool,
) -> Experiment:
    if not isinstance(data, LightningDataModule):
        raise UserError(
            f"expected a data module after the method {type(method).__name__}, got {type(data).__name__}; for example "
            "kdlight.fit(method, kdlight.data.DigitsDataModule(), max_epochs=10)"
        )
    base = Path(folder) if folder is not None else Path(RUNS, type(method).__name__.lower())
    checkpoint = None if ckpt_path is None else str(ckpt_path)
    place = find_place_of_fit(base, checkpoint, named=folder is not None, option="ckpt_path")
    described = {
        "seed_everything": seed_everything(seed or 0, workers=True),
        "trainer": describe(trainer),
        "model": describe(method),
        "data": describe(data),
        "ckpt_path": place.checkpoint,
    }
    require_same(_resolve(described), place, on_purpose=resume_changed)
    claim = place.claim()
    try:
        described["trainer"]["default_root_dir"] = str(claim.folder.path)
        arguments = described["model"]["init_args"]
        if getattr(method, "keeps_teacher", False) and not arguments.get("untrained_teacher"):
            arguments["teacher_weights"] = str(claim.folder.teacher)  # `RunFiles` writes this file
        return Experiment(
            method=method,
            data=data,
            folder=claim.folder,
            options=trainer,
            config=_resolve(described),
            checkpoint=place.checkpoint,
            command=f"kdlight.fit({type(method).__name__}(…), {type(data).__name__}(…), …)",
            claim=claim,
        )
    except BaseException:
        claim.release()
        raise


def _resolve(described: dict[str, Any]) -> str:
    """Return the configuration of objects as YAML, with all defaults.

    Callbacks, loggers and other arguments of the trainer that a configuration cannot describe are kept as they are
    described. If it cannot describe the method or the data, all defaults are left out.
    """
    undescribed = {name: value for name, value in described["trainer"].items() if has_unknown(value)}
    known = {name: value for name, value in described["trainer"].items() if name not in undescribed}
    if not has_unknown(described["model"]) and not has_unknown(described["data"]):
        parser = make_run_parser("fit")
        try:
            text: str = parser.dump(parser.parse_object({**described, "trainer": known}), skip_unset=False)
        except ArgumentError:
            pass  # the parser cannot import a class that is described, such as one defined inside a function
        else:
            if not undescribed:
                return text
            described = yaml.safe_load(text)
            described["trainer"] |= undescribed
    return yaml.safe_dump(described, sort_keys=False)
