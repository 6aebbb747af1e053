"""The tables of the documents are those that `kdlight compare` prints from the kept results."""

import re
import shlex
from pathlib import Path

import pytest

from kdlight.__main__ import main

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "notebooks" / "results"
RECORDS = sorted(file.parent for file in RESULTS.glob("*/runs.csv"))
COMMANDS = re.findall(r"^kdlight compare .*$", (RESULTS / "README.md").read_text(), flags=re.MULTILINE)


def print_table(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    _, *arguments = shlex.split(command)
    assert main(arguments) == 0
    return capsys.readouterr().out.strip()


def test_every_kept_grid_is_printed_by_a_command() -> None:
    assert RECORDS
    places = {word for command in COMMANDS for word in shlex.split(command) if word.startswith("notebooks/")}
    assert places == {f"notebooks/results/{each.name}" for each in RECORDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_tables_of_the_results_are_those_of_their_commands(command, monkeypatch, capsys) -> None:
    monkeypatch.chdir(ROOT)
    assert f"{command}\n```\n\n{print_table(command, capsys)}\n" in (RESULTS / "README.md").read_text()


def test_the_demos_tables_in_the_first_page_are_printed_from_its_results(monkeypatch, capsys) -> None:
    monkeypatch.chdir(ROOT)
    shown = (ROOT / "README.md").read_text().partition("## The demo")[2].split("```")[1].strip()
    columns = "last,agreement,redundant,unique_teacher,unique_student,information_teacher"
    printed = print_table(f"kdlight compare notebooks/results/demo --baseline method=none --columns {columns}", capsys)
    assert printed.startswith(shown)
    assert "− baseline" in shown, "the differences, too"
