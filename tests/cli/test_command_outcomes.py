"""Every option of the commands beside ``fit`` with every kind of wrong value: a message that helps, or a result.

The options are those that each command's own parser has; positional arguments count as options. What came of them
stands in ``command_outcomes.tsv``. After a change of options write that file anew, and read what has changed in it:
``KDLIGHT_WRITE_OUTCOMES=1 pytest -m slow tests/cli/test_command_outcomes.py``.
"""

import importlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from kdlight.__main__ import COMMANDS, RUN
from kdlight.internals import list_actions
from tests.cli.outcomes import ACCEPTED, REFUSED, require_table, try_command, write_table
from tests.data.image_sets import write_image

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("command_outcomes.tsv")
VALUES = ("abc", "0", "-1", "1e20", "nan", "", "FOLDER")
SAMPLED = 41  # one case of so many is in the fast suite
DIGITS = (
    "--config=kd.yaml",
    "--model.untrained_teacher=true",
    "--model.teacher_weights=null",
    "--data.train_per_class=5",
    "--data.batch_size=10",
    "--trainer.logger=false",
)
# What each command is given beside the option that is tried; a name in braces is a file or folder of the fixture.
BASES: dict[str, tuple[dict[str, str], ...]] = {
    "predict": ({"run": "{run}", "images": "{images}"},),
    "export": ({"run": "{run}", "--format": "safetensors", "--output": "{new}"},),
    "evaluate": ({"run": "{run}", "--seconds": "0.001"},),
    "pid": (
        {"--first": "{first}", "--second": "{second}", "--target": "{target}", "--repeats": "1"},
        {"--student": "{run}", "--repeats": "1", "--fit_samples": "20"},
    ),
    "bench": ({"--steps": "1", "--warmup": "1", "--repeat": "1"},),
    "ablate": ({"grid": "{grid}"},),
    "report": ({"runs": "{run}"},),
    "compare": ({"runs": "{run}"},),
    "dashboard": ({"project": "project"},),
    "completion": ({"shell": "bash"},),
    **dict.fromkeys(("models", "data", "methods", "configs"), ({},)),
}
CACHE = ("path", "views", "top", "precision")  # `kdlight cache` has the options of fit


class Case(NamedTuple):
    """A command line with one value that is probably wrong."""

    command: str
    base: int
    option: str
    value: str

    @property
    def key(self) -> str:
        """What the table calls it."""
        return f"{self.command} {self.base} {self.option}={self.value}"


def options_of(command: str) -> list[str]:
    """The options and positional arguments of a command."""
    actions = list_actions(importlib.import_module(COMMANDS[command][0]).make_parser())
    return [[action.dest, *action.option_strings][-1] for action in actions if action.dest != "help"]


@pytest.fixture
def places(photographs_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A finished run, images, arrays, a grid and a folder, by the names that `BASES` has for them."""
    generator = np.random.default_rng(0)
    arrays = {
        "first": generator.normal(size=(200, 4)),
        "second": generator.normal(size=(200, 4)),
        "target": generator.integers(0, 3, 200),
    }
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    write_image(tmp_path / "pictures/one.png", 1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    named = {name: str(tmp_path / f"{name}.npy") for name in arrays}
    return named | {
        "run": str(photographs_run()),
        "images": str(tmp_path / "pictures"),
        "folder": str(tmp_path / "folder"),
        "grid": str(ROOT / "configs/grids/digits_quick.yaml"),
    }


def command_line(case: Case, places: dict[str, str]) -> list[str]:
    value = places["folder"] if case.value == "FOLDER" else case.value
    if case.command == "cache":
        return ["cache", *DIGITS, "--model.teacher_cache.path=cache", f"{case.option}={value}"]
    numbered = {**places, "new": "new"}
    given = {name: text.format_map(numbered) for name, text in BASES[case.command][case.base].items()}
    given[case.option] = value
    positional = [text for name, text in given.items() if not name.startswith("-")]
    options = [f"{name}={text}" for name, text in given.items() if name.startswith("-")]
    if case.command == "ablate" and case.option != "--dry":
        options.append("--dry")
    return [case.command, *positional, *options, *(DIGITS if case.command == "bench" else ())]


def cases() -> list[Case]:
    found = []
    for command, bases in BASES.items():
        for base, given in enumerate(bases):
            options = options_of(command)
            assert set(given) <= set(options)
            found += [Case(command, base, name, value) for name in options for value in VALUES]
    found += [Case("cache", 0, f"--model.teacher_cache.{name}", value) for name in CACHE for value in VALUES]
    return found


def outcomes(cases: list[Case], places: dict[str, str]) -> dict[str, str]:
    """What came of the cases, by their keys.

    Raises:
        AssertionError: If one was neither accepted nor refused in at most three lines that name the option or value.
    """
    found, wrong = {}, []
    for case in cases:
        kind, lines = try_command(command_line(case, places))
        value = places["folder"] if case.value == "FOLDER" else case.value
        said = "\n".join(lines)
        # predict and bench take what begins with a dash for an option of fit, named without dashes
        named = case.option.strip("-").lower() in said.lower() or (value.lstrip("-") or "''") in said
        if kind not in (ACCEPTED, REFUSED) or (kind == REFUSED and not (named and len(lines) <= 3)):
            wrong.append(f"{case.key}: {kind}: {said}")
        found[case.key] = kind
    assert not wrong, "\n".join(wrong)
    return found


@pytest.mark.slow
def test_every_option_of_every_command(places) -> None:
    found = outcomes(cases(), places)
    write_table({key: (kind,) for key, kind in found.items()}, TABLE)
    require_table(found, TABLE, whole=True)


def test_a_sample_of_the_options_of_commands(places) -> None:
    require_table(outcomes(cases()[::SAMPLED], places), TABLE, whole=False)


def test_every_command_with_a_parser_of_its_own_is_tried() -> None:
    assert set(BASES) | {"cache"} == {name for name, (module, _) in COMMANDS.items() if module != RUN}
