"""Every option with every kind of wrong value: a message that helps, or a run that makes sense.

Each option of the trainer, of every method, callback and data module is given a text, 0, -1, 1e20, not a number,
nothing, and a folder. A fit is set up and takes two steps. What came of it stands in ``option_outcomes.tsv``. After a
change of options write that file anew, and read what has changed in it:
``KDLIGHT_WRITE_OUTCOMES=1 pytest -m slow tests/cli/test_option_outcomes.py``.
"""

import inspect
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

import kdlight.callbacks
import kdlight.data
import kdlight.methods
from kdlight.cli.build import make_run_parser
from tests.cli.outcomes import ACCEPTED, REFUSED, StoppedError, require_table, try_command, write_table
from tests.data.image_sets import write_folder

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("option_outcomes.tsv")
VALUES = ("abc", "0", "-1", "1e20", ".nan", "", "FOLDER")
SAMPLED = 60  # one row of so many is in the fast suite
STEPS = 2  # of a fit that is accepted
LINES = 3  # of a message
DIVERGES = "diverges"
QUIET = [
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.num_sanity_val_steps=0",
    "--trainer.callbacks=null",
    "--trainer.max_epochs=40",
    "--data.train_per_class=5",
]
UNTRAINED = ["--model.untrained_teacher=true", "--model.teacher_weights=null"]
ELSEWHERE = ("student", "teacher", "teacher_weights", "untrained_teacher", "optimizer", "scheduler")
LEFT_OUT = ("ImageDataModule", "ImageFilesDataModule")  # bases, which nobody can build
# How kdlight and its libraries say what would be right; and how an expectation reads that nobody can meet.
EXPECTS = re.compile(r"[Ee]xpected|needs|has no|set data_dir|no checkpoint|nvalid|valid input|can only be|should be")
EMPTY = re.compile(r"expected (null)?,")
IMAGES = "IMAGES"  # stands for a folder of images
NEEDED = {"OptimalBrainDamage": ("--trainer.callbacks.sparsity=0.5", "--trainer.callbacks.first_epoch=1")}


class Case(NamedTuple):
    """A command line with one value that is probably wrong."""

    base: tuple[str, ...]
    option: str
    value: str

    @property
    def key(self) -> str:
        """What the table calls it: the class or configuration, the option and the value."""
        given = " ".join(self.base)
        named = re.findall(r"=kdlight\.\w+\.(\w+)|--config=(\w+)\.yaml", given)
        title = next((part for part, _ in named if part), next((file for _, file in named if file), "teacher"))
        return f"{title} --{self.option}={self.value}"


def options_of(made: type) -> list[str]:
    """The arguments of a class that its bases do not have: those are tried with the base, or another class of it."""
    return [name for name, given in inspect.signature(made).parameters.items() if given.kind is not given.VAR_KEYWORD]


def cases() -> list[Case]:
    teacher = ("fit", f"--config={ROOT}/configs/digits/teacher.yaml", *QUIET)
    found = []
    for action in make_run_parser("fit")._actions:
        name = action.dest
        if (name.startswith("trainer.") and not name.endswith(".help")) or name in (
            "seed_everything",
            "ckpt_path",
            "resume_changed",
            "train_teacher",
        ):
            found.append((teacher, name))
    found += [
        (teacher, f"model.{name}")
        for name in ("student", "student_weights", "optimizer", "scheduler", "student.num_classes")
    ]
    found += [(teacher, f"model.optimizer.{name}") for name in ("lr", "momentum", "weight_decay")]
    found += [(teacher, f"model.scheduler.{name}") for name in ("T_max", "eta_min")]
    shared: set[str] = set(ELSEWHERE)
    for file in sorted((ROOT / "configs/methods").glob("*.yaml")):
        base = ("fit", f"--config={file.name}", *UNTRAINED, *QUIET)
        names = {name.lower(): name for name in dir(kdlight.methods)}
        if file.stem.replace("_", "") in names:
            own = [
                name
                for name in options_of(getattr(kdlight.methods, names[file.stem.replace("_", "")]))
                if name not in shared
            ]
            found += [(base, f"model.{name}") for name in own]
    for name in dir(kdlight.callbacks):
        made = getattr(kdlight.callbacks, name)
        base = (
            "fit",
            "--config=kd.yaml",
            *UNTRAINED,
            *QUIET,
            f"--trainer.callbacks+=kdlight.callbacks.{name}",
            *NEEDED.get(name, ()),
        )
        found += [(base, f"trainer.callbacks.{option}") for option in options_of(made) if option != "teacher"]
    seen: set[str] = set()
    own_images = "ImageFolderDataModule"
    for name in sorted(dir(kdlight.data), key=lambda name: (name != "DigitsDataModule", name != own_images)):
        made = getattr(kdlight.data, name)
        if name.endswith("DataModule") and name not in LEFT_OUT:
            base = (*teacher, f"--data=kdlight.data.{name}")
            base += (f"--data.data_dir={IMAGES}", "--data.image_size=32") if name == own_images else ()
            tried = set() if name == own_images else seen
            found += [(base, f"data.{option}") for option in options_of(made) if option not in tried]
            seen.update(options_of(made) if name != own_images else ())
    return [Case(base, option, value) for base, option in found for value in VALUES]


@pytest.fixture
def outcome(tmp_path, tmp_path_factory, monkeypatch):
    """A function of a case: accepted, refused or diverged, or what must not be; and the message."""
    images, advance = write_folder(tmp_path_factory.mktemp("images")), _TrainingEpochLoop.advance
    places = {str(images): IMAGES, str(tmp_path): "FOLDER", str(ROOT): ""}
    steps = []

    def count(*arguments):
        if len(steps) == STEPS:
            raise StoppedError
        steps.append(advance(*arguments))

    def found(case: Case) -> tuple[str, str]:
        steps.clear()
        value = str(tmp_path) if case.value == "FOLDER" else case.value
        base = [option.replace(IMAGES, str(images)) for option in case.base]
        kind, lines = try_command([*base, f"--{case.option}={value}"])
        said = " / ".join(lines)
        for place, name in places.items():
            said = said.replace(place, name)
        said = re.sub(r"'/[^']*\.\.\.[^']*'", "'FOLDER'", said)  # pydantic shortens long values
        diverged = kind == REFUSED and said.startswith("the loss is not finite in step")
        return (DIVERGES if diverged else kind), said

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kdlight"])
    monkeypatch.setattr(_TrainingEpochLoop, "advance", count)
    return found


@pytest.mark.slow
def test_every_option(outcome):
    found = {case.key: outcome(case) for case in cases()}
    write_table(found, TABLE)
    require_sense(found)
    require_table({key: kind for key, (kind, _) in found.items()}, TABLE, whole=True)


def test_a_sample_of_the_options(outcome):
    found = {case.key: outcome(case) for case in cases()[::SAMPLED]}
    require_sense(found)
    require_table({key: kind for key, (kind, _) in found.items()}, TABLE, whole=False)


def require_sense(found):
    """Each was accepted, or refused in at most three lines: the option or the value, and what is expected."""
    wrong = []
    for key, (kind, said) in found.items():
        option, value = key.partition(" --")[2].split("=", 1)
        *parents, name = option.split(".")
        places = [name, name.replace("_", " "), *(parent for parent in parents if parent in ("optimizer", "scheduler"))]
        named = any(place in said for place in places) or (value or "''") in said
        helps = kind == DIVERGES or (kind == REFUSED and named and EXPECTS.search(said) and not EMPTY.search(said))
        if kind != ACCEPTED and not (helps and said.count(" / ") < LINES):
            wrong.append(f"{key}: {kind}: {said}")
    assert not wrong, "\n".join(wrong)
