"""The table of runs: which settings tell them apart, means over seeds, differences paired by seed."""

import csv
import io
import json
import math

import pytest
import yaml
from pylatexenc.latex2text import LatexNodes2Text
from pylatexenc.latexwalker import (
    LatexCommentNode,
    LatexEnvironmentNode,
    LatexMacroNode,
    LatexSpecialsNode,
    LatexWalker,
)
from scipy import stats

from kdlight.__main__ import main
from kdlight.errors import MissingFileError, UserError
from kdlight.workbench.compare.groups import find_stage, group_runs
from kdlight.workbench.compare.records import find_varied_settings, read_records, select_records
from kdlight.workbench.compare.statistics import compute_difference, summarise
from kdlight.workbench.compare.table import explain, format_cells, format_difference_cells, format_table, tabulate_runs

ACCURACIES = {"KD": {0: 0.90, 1: 0.91, 2: 0.95}, "Supervised": {0: 0.80, 1: 0.84, 2: 0.85}}


def write_run(folder, method="KD", seed=0, accuracy=0.5, *, finished=True, data=None, **arguments):
    """A run as `kdlight fit` leaves it, as far as a table reads it."""
    folder.mkdir(parents=True)
    config = {
        "seed_everything": seed,
        "trainer": {"max_epochs": 3, "default_root_dir": str(folder)},
        "model": {"class_path": f"kdlight.methods.{method}", "init_args": arguments},
        "data": {"class_path": "kdlight.data.DigitsDataModule", "init_args": data or {"batch_size": 32}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if finished:
        pid = {"redundant": 2.5, "redundant_lower": 2.4, "redundant_upper": 2.6, "unique_teacher": 0.5}
        result = {
            "test": {"last": {"accuracy": accuracy, "loss": 1.0}},
            "pid_test": {"stage2": {"redundant": 1.0}, "stage3": pid},
            "seed": seed,
            "seconds": 7.0,
            "train_seconds": 6.0,
            "student_parameters": 1000,
        }
        (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture
def runs(tmp_path):
    for method, by_seed in ACCURACIES.items():
        for seed, accuracy in by_seed.items():
            own = {"temperature": 4.0} if method == "KD" else {}
            write_run(tmp_path / f"{method}-{seed}", method, seed, accuracy, **own)
    return tmp_path


def test_runs_that_differ_in_their_seed_alone_are_a_group(runs):
    comparison = group_runs(read_records([runs]))
    assert comparison.settings == ("model",), "a setting that follows from the method says nothing new"
    for (method,), of in comparison.groups.items():
        assert sorted(run.seed for run in of) == [0, 1, 2]
        values = [100 * accuracy for accuracy in ACCURACIES[method].values()]
        mean, deviation, n = comparison.summarise((method,), "last")
        assert mean == pytest.approx(sum(values) / 3)
        assert deviation == pytest.approx(math.sqrt(sum((value - mean) ** 2 for value in values) / 2))
        assert n == 3


def test_zero_has_no_sign(tmp_path):
    folder = write_run(tmp_path / "run")
    result = json.loads((folder / "result.json").read_text())
    result["pid_test"]["stage3"]["redundant"] = -1e-9
    (folder / "result.json").write_text(json.dumps(result))
    table = format_table(group_runs(read_records([folder]), columns=["redundant"]), "markdown")
    assert "0.000" in table
    assert "-0.000" not in table


def test_published_values_of_a_grid_are_a_column(tmp_path):
    for method in ("KD", "Supervised"):
        write_run(tmp_path / f"method={method}" / "seed=0", method, accuracy=0.7)
    (tmp_path / "published.json").write_text('{"method=KD": 70.66, "method=DKD": 71.97}')
    comparison = group_runs(read_records([tmp_path]), columns=["last", "published"])
    assert comparison.summarise(("KD",), "published").mean == pytest.approx(70.66)
    assert comparison.summarise(("Supervised",), "published").n == 0
    row = next(line for line in format_table(comparison, "table").splitlines() if line.startswith("KD"))
    assert "70.00" in row
    assert "70.66" in row


def test_a_setting_that_splits_a_method_is_a_column(runs):
    write_run(runs / "cold", "KD", 0, 0.7, temperature=1.0)
    comparison = group_runs(read_records([runs]))
    assert comparison.settings == ("model", "model.temperature")
    assert set(comparison.groups) == {("KD", "4"), ("KD", "1"), ("Supervised", "–")}


def test_a_difference_is_paired_by_seed(runs):
    comparison = group_runs(read_records([runs]), baseline="model=Supervised")
    found = comparison.compute_difference(("KD",), "last")
    each = [100 * (ACCURACIES["KD"][seed] - ACCURACIES["Supervised"][seed]) for seed in range(3)]
    expected = stats.ttest_1samp(each, 0).confidence_interval(0.95)
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))
    assert found.resolved == (expected.low > 0)
    assert comparison.compute_difference(("Supervised",), "last") is None
    text = format_table(comparison, "table")
    assert f"{found.mean:+.2f} [{found.lower:+.2f}, {found.upper:+.2f}]" in text
    assert f"{found.detectable:.2f} would show in 80 % of repetitions" in explain(comparison)[-1]


def test_runs_with_equal_seeds_and_with_other_epochs_are_noted(runs):
    assert len(explain(group_runs(read_records([runs])))) == 1
    again = write_run(runs / "again", "KD", 0, 0.7, temperature=4.0)
    for place, epochs in ((again, 20), (runs / "KD-0", 3)):
        result = json.loads((place / "result.json").read_text())
        (place / "result.json").write_text(json.dumps({**result, "epochs": epochs}))
    assert explain(group_runs(read_records([runs])))[1:] == [
        "The runs have different numbers of epochs: 3, 20.",
        "In some rows, ± is the deviation over runs, not over seeds: several runs have the same seed.",
    ]


def test_what_n_could_have_shown():
    """The power of the paired test at the difference that is called detectable, by the noncentral t distribution."""
    found = compute_difference(dict(enumerate([1.0, 2.0, 4.0, 3.0, 2.5])), dict.fromkeys(range(5), 0.0))
    error = summarise([1.0, 2.0, 4.0, 3.0, 2.5]).deviation / math.sqrt(5)
    power = stats.nct.sf(stats.t.ppf(0.975, 4), 4, found.detectable / error)
    assert power == pytest.approx(0.8, abs=0.05)


def test_one_run_shows_the_interval_of_its_pid_and_what_is_not_estimable(tmp_path):
    write_run(tmp_path / "one")
    comparison = group_runs(read_records([tmp_path / "one"]), columns=["last", "redundant", "synergistic", "selected"])
    row = format_table(comparison, "table").splitlines()[-1]
    assert row.split() == ["one", "1", "50.00", "2.500", "[2.400,", "2.600]", "not", "estimable", "–"]
    with pytest.raises(UserError, match="PID of 'stage9'; stages with a measured PID: stage2, stage3"):
        group_runs(read_records([tmp_path]), stage="stage9")
    assert group_runs(read_records([tmp_path]), stage="stage2").summarise((), "redundant").mean == 1.0


@pytest.mark.parametrize(
    ("measured", "chosen"),
    [(["stage2", "stage10", "embedding", "logits"], "stage10"), (["logits"], "logits"), ([], None)],
)
def test_without_a_wish_the_deepest_stage_is_read(measured, chosen):
    assert find_stage([{}, {"pid_test": {stage: {} for stage in measured}}], None) == chosen


def test_unfinished_failed_and_broken_runs_stand_in_the_table(runs):
    write_run(runs / "KD-3", "KD", 3, finished=False, temperature=4.0)
    (runs / "KD-2/result.json").write_text("[]")
    records = {record.folder.path.name: record for record in read_records([runs])}
    assert [records[name].state for name in ("KD-0", "KD-2", "KD-3")] == ["finished", "unreadable", "unfinished"]
    lines = format_table(group_runs(list(records.values())), "table").splitlines()
    assert next(line for line in lines if line.startswith("KD")).split()[1:4] == ["2", "of", "4"]


def test_a_grid_is_grouped_by_its_axes(tmp_path):
    for labels in ("6", "all"):
        for seed in range(2):
            write_run(tmp_path / f"grid/method=kd,labels={labels}/seed={seed}", seed=seed, accuracy=0.5 + seed / 10)
    (tmp_path / "grid/logs").mkdir()
    (tmp_path / "grid/logs/method=kd,labels=none,seed=0.log").write_text("kdlight: no such label\n")
    records = read_records([tmp_path / "grid"])
    comparison = group_runs(records)
    assert comparison.settings == ("method", "labels")
    assert comparison.summarise(("kd", "all"), "last") == pytest.approx((55, 7.0710678, 2))
    failed = next(record for record in records if record.state == "failed")
    assert failed.axes == {"method": "kd", "labels": "none"}
    assert "no such label" in failed.reason
    assert {record.axes["labels"] for record in select_records(records, ["labels=6"])} == {"6"}


def test_formats_have_the_same_numbers(runs):
    comparison = group_runs(read_records([runs]), columns=["last"])
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(format_table(comparison, "csv")))}
    for row in json.loads(format_table(comparison, "json")):
        mean, deviation, _ = comparison.summarise((row["model"],), "last")
        assert row["last"] == pytest.approx(mean)
        assert float(rows[row["model"]]["last_sd"]) == pytest.approx(deviation)
        shown = f"{mean:.2f} ± {deviation:.2f}"
        assert f"| {row['model']} " in format_table(comparison, "markdown")
        for kind in ("table", "markdown"):
            assert shown in format_table(comparison, kind)
    with pytest.raises(UserError, match="expected one of table, markdown, latex, csv, json"):
        format_table(comparison, "word")


def read_latex(text):
    """The cells of each tabular of a text by a parser of LaTeX, which refuses what is not closed, as plain text."""
    nodes, _, _ = LatexWalker(text, tolerant_parsing=False).get_latex_nodes()
    to_text = LatexNodes2Text(math_mode="text", keep_comments=True)
    tables = []
    for tabular in (node for node in nodes if node.isNodeType(LatexEnvironmentNode)):
        assert tabular.environmentname == "tabular"
        rows, cell = [[]], []
        for node in tabular.nodelist:
            if node.isNodeType(LatexSpecialsNode) and node.specials_chars == "&":
                rows[-1].append(cell)
                cell = []
            elif node.isNodeType(LatexMacroNode) and node.macroname == "\\":
                rows[-1].append(cell)
                rows, cell = [*rows, []], []
            elif not (node.isNodeType(LatexMacroNode) and node.macroname.endswith("rule")):
                assert not node.isNodeType(LatexCommentNode), "a percent sign begins a comment"
                cell.append(node)
        assert not rows.pop()
        assert "".join(to_text.nodelist_to_text(cell).split()) == "", "nothing stands behind the last row"
        (columns,) = tabular.nodeargd.argnlist[-1:]
        assert {len(row) for row in rows} == {len(columns.nodelist[0].chars)}
        tables.append([[" ".join(to_text.nodelist_to_text(cell).split()) for cell in row] for row in rows])
    return tables


def test_latex_is_read_by_a_parser_and_has_every_cell(runs):
    write_run(runs / "odd", "Odd_50%_{x}&y~#$", 0, 0.7)
    comparison = group_runs(read_records([runs]), baseline="model=Supervised")
    text = format_table(comparison, "latex")
    assert text.isascii()
    wanted = [[headings, *rows] for headings, rows in (format_cells(comparison), format_difference_cells(comparison))]
    assert [[[cell.replace("−", "-") for cell in row] for row in table] for table in wanted] == read_latex(text)
    assert any("Odd_50%_{x}&y~#$" in row for row in wanted[0])


def test_an_axis_keeps_its_column_beside_a_measure_of_its_name(tmp_path):
    for place, teacher in enumerate(("sure", "unsure")):
        for seed in range(2):
            folder = write_run(tmp_path / f"grid/teacher={teacher}/seed={seed}", seed=seed, accuracy=0.5 + place / 10)
            result = json.loads((folder / "result.json").read_text())
            (folder / "result.json").write_text(json.dumps({**result, "teacher_test": {"accuracy": 0.9}}))
    records = read_records([tmp_path / "grid"])
    table = tabulate_runs(records)
    assert table["teacher"].tolist() == ["sure", "sure", "unsure", "unsure"]
    assert table["measured_teacher"].tolist() == pytest.approx([90.0] * 4)
    assert table["last"].tolist() == pytest.approx([50.0, 50.0, 60.0, 60.0])
    assert table["redundant"].tolist() == [2.5] * 4, "of the deepest stage"
    assert "synergistic" not in table, "no run has it"
    grouped = json.loads(format_table(group_runs(records, columns=["teacher"]), "json"))
    assert [row["teacher"] for row in grouped] == ["sure", "unsure"]
    assert grouped[0]["measured_teacher"] == pytest.approx(90.0)


def test_sorting(runs):
    assert list(group_runs(read_records([runs]), sort="last").groups) == [("KD",), ("Supervised",)]
    assert list(group_runs(read_records([runs]), sort="model").groups) == [("KD",), ("Supervised",)]
    with pytest.raises(UserError, match="--sort size: expected a setting by which the runs differ: model"):
        group_runs(read_records([runs]), sort="size")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["accuracy"]}, "--columns accuracy: expected some of last, selected"),
        ({"baseline": "model=KDD"}, "--baseline model=KDD: expected one of KD, Supervised"),
        ({"baseline": "modle=KD"}, "--baseline modle=KD: expected a setting by which the runs differ: model"),
    ],
)
def test_mistakes_are_named(runs, options, message):
    with pytest.raises(UserError) as caught:
        group_runs(read_records([runs]), **options)
    assert message in str(caught.value)


def test_conditions_and_places_that_fit_nothing(runs):
    records = read_records([runs])
    for condition, message in (("model", "NAME=VALUE"), ("size=3", "no setting 'size'"), ("model=X", "got none of")):
        with pytest.raises(UserError, match=message):
            select_records(records, [condition])
    with pytest.raises(MissingFileError, match="found no run"):
        read_records([runs / "nowhere*"])
    assert find_varied_settings(read_records([runs / "KD-0"])) == {}


def test_a_run_s_name_is_neither_markup_nor_pattern(tmp_path, capsys):
    write_run(tmp_path / "[red]", "KD")
    write_run(tmp_path / "[/x]", "DKD")
    main(["compare", str(tmp_path / "[red]"), str(tmp_path / "[/x]")])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:4]] == ["KD", "DKD"]


def test_the_command_draws_what_it_is_asked_for(runs, capsys):
    for run in runs.iterdir():
        (run / "metrics.csv").write_text("epoch,step,val/accuracy,pid/stage3/redundant\n0,1,.5,1\n1,2,.6,\n2,3,.7,2\n")
    wanted = [f"--{name}={runs / name}.png" for name in ("plot", "bars", "scatter")]
    assert main(["compare", str(runs), "--baseline=model=Supervised", *wanted]) == 0
    assert all((runs / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in ("plot", "bars", "scatter"))
    assert main(["compare", str(runs), f"--plot={runs / 'curves.xyz'}"]) == 2
    assert "expected a picture format among" in capsys.readouterr().err


def test_equal_differences_have_no_interval():
    """Two seeds that differ by one test image each do not tell how much differences vary."""
    found = compute_difference({0: 0.5, 1: 0.75}, {0: 0.25, 1: 0.5})
    assert found.mean == 0.25
    assert math.isnan(found.lower)
    assert math.isnan(found.detectable)
    assert not found.resolved
