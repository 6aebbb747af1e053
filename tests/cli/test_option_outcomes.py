"""Every option with every kind of wrong value: a message that helps, or a run that makes sense.

Each option of the trainer, of every method, callback and data module is given a text, 0, -1, 1e20, not a number,
nothing, and a folder. A fit is set up, and stops where its first step would run. What came of it stands in
``option_outcomes.tsv``. After a change of options write that file anew, and read what has changed in it:
``KDLIGHT_WRITE_OUTCOMES=1 pytest -m slow tests/cli/test_option_outcomes.py``.
"""

import inspect
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from lightning.pytorch.loops import _FitLoop

import kdlight.callbacks
import kdlight.data
import kdlight.methods
from kdlight.cli.build import make_run_parser
from tests.cli.outcomes import ACCEPTED, REFUSED, StoppedError, require_table, try_command, write_table

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("option_outcomes.tsv")
VALUES = ("abc", "0", "-1", "1e20", ".nan", "", "FOLDER")
SAMPLED = 60  # one row of so many is in the fast suite
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


# Bases, which nobody can build, and one whose networks are not known before its folder of images is there.
LEFT_OUT = ("AugmentedDataModule", "ImageDataModule", "ImageFilesDataModule", "ImageFolderDataModule")
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
    for name in sorted(dir(kdlight.data), key=lambda name: name != "DigitsDataModule"):
        made = getattr(kdlight.data, name)
        if name.endswith("DataModule") and name not in LEFT_OUT:
            base = (*teacher, f"--data=kdlight.data.{name}")
            found += [(base, f"data.{option}") for option in options_of(made) if option not in seen]
            seen.update(options_of(made))
    return [Case(base, option, value) for base, option in found for value in VALUES]


def outcome(case: Case) -> tuple[str, str]:
    """What came of a case: accepted or refused, or what must not be; and the message."""
    value = str(Path.cwd()) if case.value == "FOLDER" else case.value
    kind, lines = try_command([*case.base, f"--{case.option}={value}"])
    said = ([line for line in lines if line.startswith("kdlight: ")] or lines or [""])[0]
    return kind, said.replace(str(Path.cwd()), "FOLDER").replace(str(ROOT), "")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    def stop(*_):
        raise StoppedError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kdlight"])
    monkeypatch.setattr(_FitLoop, "advance", stop)


@pytest.mark.slow
def test_every_option():
    found = {case.key: outcome(case) for case in cases()}
    write_table(found, TABLE)
    require_sense(found)
    require_table({key: kind for key, (kind, _) in found.items()}, TABLE, whole=True)


def test_a_sample_of_the_options():
    found = {case.key: outcome(case) for case in cases()[::SAMPLED]}
    require_sense(found)
    require_table({key: kind for key, (kind, _) in found.items()}, TABLE, whole=False)


def require_sense(found):
    """Each was accepted, or refused by a message that names the option or the value."""
    wrong = []
    for key, (kind, said) in found.items():
        option, value = key.partition(" --")[2].split("=", 1)
        *parents, name = option.split(".")
        places = [name, name.replace("_", " "), *(parent for parent in parents if parent in ("optimizer", "scheduler"))]
        named = any(place in said for place in places) or (value or "''") in said
        if kind not in (ACCEPTED, REFUSED) or (kind == REFUSED and not named):
            wrong.append(f"{key}: {kind}: {said}")
    assert not wrong, "\n".join(wrong)
