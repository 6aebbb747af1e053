"""The tables of the documents are those that `kdlight compare` prints from the kept results."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from kdlight.__main__ import main
from kdlight.cli.build import parse
from kdlight.workbench.ablate.grid import read_grid
from kdlight.workbench.compare.kept_runs import hash_settings, read_kept
from kdlight.workbench.compare.record import write_labels
from kdlight.workbench.compare.records import flatten

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


@pytest.mark.parametrize("folder", RECORDS, ids=lambda folder: folder.name)
def test_the_kept_runs_have_the_configurations_of_their_grid(folder) -> None:
    kept = {write_labels(run.axes): run.settings["configuration"] for run in read_kept(folder)}
    first = {cell.group: cell for cell in reversed(read_grid(f"{folder.name}.yaml").cells)}
    parsed = {group: yaml.safe_load(parse("fit", cell.list_arguments()).to_yaml()) for group, cell in first.items()}
    assert kept == {group: hash_settings(flatten(config)) for group, config in parsed.items()}


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
