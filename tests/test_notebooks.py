"""Notebooks are kept with their outputs, and give them again."""

import ast
import copy
import importlib
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest

from kdlight.cli.shipped import find_shipped_folder
from tests.notebook_runner import run_notebook

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
TRAIN_NOTHING = ("0_what_held", "2_where_mutual_information_misleads")
LONGEST_CELL = 40  # lines, a screen
COMPUTED = 0.0011  # what is computed agrees to the three digits that are shown
TRAINED = 0.01, 0.05  # relative and absolute: an interval over seeds that agree by chance is no narrower than this


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def pictures(notebook):
    return [output for output in outputs(notebook) if "image/png" in output.get("data", {})]


def tables(notebook):
    """The tables of pandas that a notebook shows: of each the headings, and rows of texts."""
    found = []
    for output in outputs(notebook):
        for text in re.findall(r"<table.*?</table>", output.get("data", {}).get("text/html", ""), re.DOTALL):
            head, body = ElementTree.fromstring(text)
            headings = ["".join(cell.itertext()) for cell in head[0]]
            found.append((headings, [["".join(cell.itertext()) for cell in row] for row in body]))
    return found


def number(text):
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def compare_rows(headings, kept, again):
    """Name the cells of a row that differ by more than they may.

    In a table with the columns lower and upper, the number before them was trained: each value lies in the other's
    interval. All other numbers are computed.
    """
    pairs = dict(zip(headings, zip(kept, again, strict=True), strict=True))
    trained = None
    if {"lower", "upper"} <= pairs.keys():
        lower, upper = ([number(text) for text in pairs[end]] for end in ("lower", "upper"))
        trained = headings[headings.index("lower") - 1]
        if any(math.isnan(end) for end in (*lower, *upper)):
            trained = None
    for heading, (one, other) in pairs.items():
        before, now = number(one), number(other)
        if heading == trained:
            narrowest = TRAINED[0] * abs(before) + TRAINED[1]
            half = max(*(upper[place] - lower[place] for place in (0, 1)), 2 * narrowest) / 2
            if abs(before - now) > half:
                yield f"{heading} was {before}, is {now}, more than {half:.3g} apart"
        elif heading in ("lower", "upper") and trained:
            continue
        elif before is None or now is None or math.isnan(before):
            if one != other:
                yield f"{heading} was {one}, is {other}"
        elif not abs(before - now) <= COMPUTED:
            yield f"{heading} was {one}, is {other}"


def differences(kept, again):
    """Name everything that a notebook does not give again."""
    found = []
    if len(pictures(kept)) != len(pictures(again)):
        found.append(f"{len(pictures(kept))} pictures were kept, {len(pictures(again))} are drawn")
    before, now = tables(kept), tables(again)
    if [(headings, len(rows)) for headings, rows in before] != [(headings, len(rows)) for headings, rows in now]:
        return [*found, "the tables have other columns or rows"]
    for (headings, rows), (_, others) in zip(before, now, strict=True):
        for row, other in zip(rows, others, strict=True):
            found += [f"{row[0]}: {difference}" for difference in compare_rows(headings, row, other)]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all notebooks run, so that their teacher is trained once."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(file, id=file.stem, marks=() if file.stem in TRAIN_NOTHING else pytest.mark.slow)
        for file in NOTEBOOKS
    ],
)
def test_a_notebook_gives_again_what_it_is_kept_with(file, folder, monkeypatch):
    monkeypatch.delenv("NOTEBOOK_SIZE", raising=False)
    kept, again = nbformat.read(file, as_version=4), run_notebook(file, folder)
    assert not differences(kept, again)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_kept_as_it_ran_from_top_to_bottom(file):
    notebook = nbformat.read(file, as_version=4)
    opening, code = notebook.cells[0], [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert opening.cell_type == "markdown"
    assert re.match(r"# .+\n\n\*[^*]+\?\*\n", opening.source), "a title, and the question in one sentence"
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert max(len(cell.source.splitlines()) for cell in code) <= LONGEST_CELL
    kinds = {output.get("name", output.output_type) for output in outputs(notebook)}
    assert kinds <= {"stdout", "display_data", "execute_result"}, "no errors and no warnings"
    assert pictures(notebook)
    assert tables(notebook)
    assert file.stat().st_size < 600_000


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_what_a_notebook_takes_of_kdlight_exists(file):
    """A renamed class or a moved configuration shows here, without training anything."""
    notebook = nbformat.read(file, as_version=4)
    source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("kdlight"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"kdlight(\.\w+)+", node.value):
                package, _, name = node.value.rpartition(".")
                assert hasattr(importlib.import_module(package), name), node.value
            elif node.value.endswith(".yaml"):
                assert (find_shipped_folder() / node.value).is_file(), node.value


def test_each_notebook_is_listed():
    listed = re.findall(r"\]\((\w+\.ipynb)\)", (NOTEBOOKS[0].parent / "README.md").read_text())
    assert listed == [file.name for file in NOTEBOOKS]


def with_table(*rows):
    """A notebook that shows a table, the first row of which are its headings."""
    head, *body = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody></table>"
    shown = nbformat.v4.new_output("display_data", {"text/html": html})
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[shown])])


@pytest.mark.parametrize(
    ("headings", "kept", "again", "said"),
    [
        (["gate", "red"], ["XOR", "0.311"], ["XOR", "0.312"], None),
        (["gate", "red"], ["XOR", "0.311"], ["XOR", "0.313"], "red was 0.311, is 0.313"),
        (["gate", "red"], ["XOR", "0.311"], ["AND", "0.311"], "gate was XOR, is AND"),
        (["gate", "red"], ["XOR", "0.311"], ["XOR", "NaN"], "red was 0.311, is NaN"),
        (["arm", "last", "lower", "upper"], ["kd", "90", "87", "93"], ["kd", "92.9", "91", "95"], None),
        (["arm", "last", "lower", "upper"], ["kd", "90", "87", "93"], ["kd", "93.1", "91", "95"], "last was 90.0"),
        (["arm", "last", "lower", "upper"], ["kd", "90", "90", "90"], ["kd", "90.5", "90.5", "90.5"], None),
        (["arm", "last", "lower", "upper"], ["kd", "90", "90", "90"], ["kd", "91.5", "91.5", "91.5"], "last was 90.0"),
        (["arm", "H(Y)", "lower", "upper"], ["kd", "3.3", "NaN", "NaN"], ["kd", "3.4", "NaN", "NaN"], "H(Y) was 3.3"),
    ],
)
def test_what_may_differ_and_what_may_not(headings, kept, again, said):
    found = differences(with_table(headings, kept), with_table(headings, again))
    assert [said is not None and said in difference for difference in found] == ([True] if said else [])


def test_missing_rows_and_pictures_are_differences():
    kept = with_table(["gate"], ["XOR"])
    assert differences(kept, with_table(["gate"], ["XOR"], ["AND"])) == ["the tables have other columns or rows"]
    drawn = copy.deepcopy(kept)
    drawn.cells[0].outputs.append(nbformat.v4.new_output("display_data", {"image/png": ""}))
    assert differences(drawn, kept) == ["1 pictures were kept, 0 are drawn"]
