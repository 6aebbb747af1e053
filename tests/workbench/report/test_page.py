"""The page of a study: every number on it is that of the run folders."""

import csv
import html
import html.parser
import json
import math
import re

import numpy as np
import pytest
import yaml
from scipy import stats

from kdlight.__main__ import main
from kdlight.runs.folder import RunFolder
from kdlight.workbench.pid_captions import ATOM_LABELS

NAMES = ["cat", "</script><b>dog", "owl"]
ATOMS = ("redundant", "unique_teacher", "unique_student", "synergistic")
EPOCHS, SEEDS, METHODS = 4, (0, 1), ("none", "kd")
STAGES = "stage1", "stage2", "logits"  # in the order of the page
NOT_ESTIMABLE = {1: (0, 2), 2: (1,)}  # seeds of kd whose synergistic atom is missing, by epoch from 0


def write_run(folder, method, seed, *, finished=True):
    """A run of three classes with numbers of its own, as `kdlight fit` leaves it."""
    draws = np.random.default_rng([seed, len(method)])
    folder = RunFolder(folder)
    folder.path.mkdir(parents=True)
    arguments = {"temperature": 4.0} if method == "kd" else {}
    model = {"class_path": f"kdlight.methods.{method}", "init_args": arguments}
    folder.config.write_text(yaml.safe_dump({"seed_everything": seed, "model": model, "trainer": {"max_epochs": 4}}))
    keys = ["val/accuracy", "train/loss", *(f"pid/{stage}/{atom}" for stage in STAGES for atom in ATOMS)]
    with folder.metrics.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["epoch", "step", *keys])
        writer.writeheader()
        for epoch in range(EPOCHS):
            row = {key: draws.random() for key in keys}
            if method == "kd" and seed in NOT_ESTIMABLE.get(epoch, ()):
                row = {key: value for key, value in row.items() if not key.endswith("synergistic")}
            writer.writerow({"epoch": epoch, "step": epoch, **row})
    if not finished:
        return
    confusion = draws.integers(1, 50, (3, 3))
    scalars = ("accuracy", "top5_accuracy", "loss", "calibration_error", "agreement", "kl_divergence")
    result = {
        "test": {"last": {name: float(draws.random()) for name in scalars}},
        "teacher_test": {"accuracy": 0.91, "top5_accuracy": 0.99, "calibration_error": 0.02},
        "class_names": NAMES,
        "class_accuracy": {"last": (confusion.diagonal() / confusion.sum(1)).tolist()},
        "confusion": {"last": confusion.tolist()},
        "networks": {name: {"parameters": 12_345, "flops": 678_910} for name in ("student", "teacher")},
        "pid_test": {"stage2": {atom: float(draws.random()) for atom in ATOMS}},
        "seed": seed,
        "seconds": 12.0,
        "command": f"kdlight fit --config {method}.yaml --seed_everything {seed}",
        "git_commit": "0123abc",
    }
    folder.result.write_text(json.dumps(result))


class Page(html.parser.HTMLParser):
    """Reads tables, pictures' titles, places that are loaded from, and all text outside of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.titles, self.loaded, self.text, self.scripts = [], [], [], [], []
        self.inside = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br", "link", "img"):
            self.inside.append(tag)
        self.loaded += [value for name, value in attributes if name in ("src", "href") and not value.startswith("#")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "figcaption":
            self.titles.append("")

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, data):
        if self.inside[-1:] == ["script"]:
            self.scripts.append(data)
            return
        self.text.append(data)
        if {"td", "th"} & set(self.inside):
            self.tables[-1][-1][-1] += data
        elif self.inside[-1:] == ["figcaption"]:
            self.titles[-1] += data

    @property
    def pictures(self):
        """By title, the traces of each picture, in the order of the page."""
        found = {}
        decoder = json.JSONDecoder()
        drawn = [script for script in self.scripts if "Plotly.newPlot(" in script and len(script) < 1e6]
        for title, script in zip(self.titles, drawn, strict=True):
            start = script.index("[", script.index("Plotly.newPlot("))
            found.setdefault(title, []).append(decoder.raw_decode(script[start:])[0])
        return found


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A grid of two methods and two seeds, one run of which has not ended, and its page."""
    root = tmp_path_factory.mktemp("runs")
    for method in METHODS:
        for seed in SEEDS:
            write_run(root / f"grid/method={method}/seed={seed}", method, seed)
    write_run(root / "grid/method=kd/seed=2", "kd", 2, finished=False)
    assert main(["report", str(root / "grid"), "-o", str(root / "page.html"), "--baseline", "method=none"]) == 0
    text = (root / "page.html").read_text()
    return root / "grid", text, Page(text)


def results(root, method):
    return [RunFolder(root / f"method={method}/seed={seed}").read_result() for seed in SEEDS]


def rows(root, method, seeds=SEEDS):
    return [RunFolder(root / f"method={method}/seed={seed}").read_metrics() for seed in seeds]


def numbers(cell):
    return [float(number) for number in re.findall(r"[-+]?\d[\d,]*\.?\d*", cell.replace(",", ""))]


def test_the_page_needs_nothing_from_elsewhere(study):
    _, text, page = study
    assert page.loaded == []
    assert "@import" not in text.partition("<script>")[0]
    assert not page.inside, "every element is closed"
    assert "</script><b>" not in text


def test_the_tables_have_the_numbers_of_the_results(study):
    root, _, page = study
    table = {row[0]: dict(zip(page.tables[0][0], row, strict=True)) for row in page.tables[0][1:]}
    assert [row[0] for row in page.tables[1][1:]] == ["kd"], "the baseline has no difference to itself"
    compared = dict(zip(*page.tables[1], strict=True))
    measures = {row[0]: row[1:] for row in page.tables[2][1:]}
    assert page.tables[2][0][1:] == sorted(table, key=["kd", "none"].index)
    for place, method in enumerate(page.tables[2][0][1:]):
        of = results(root, method)
        accuracies = [100 * result["test"]["last"]["accuracy"] for result in of]
        mean, deviation = np.mean(accuracies), np.std(accuracies, ddof=1)
        assert numbers(table[method]["last %"])[:2] == [round(mean, 2), round(deviation, 2)]
        for heading, atom in (("red", 0), ("uni T", 1), ("uni S", 2), ("syn", 3)):
            values = [result["pid_test"]["stage2"][ATOMS[atom]] for result in of]
            expected = [float(f"{np.mean(values):.3f}"), float(f"{np.std(values, ddof=1):.3f}")]
            assert numbers(table[method][heading]) == expected, heading
        assert numbers(table[method]["agreement %"]) == numbers(measures["agreement %"][place])
        assert numbers(table[method]["teacher %"]) == [91.0, 0.0]
        for heading, name, factor, digits in (
            ("top-1 %", "accuracy", 100, 2),
            ("top-5 %", "top5_accuracy", 100, 2),
            ("loss", "loss", 1, 4),
            ("calibration error %", "calibration_error", 100, 2),
            ("agreement %", "agreement", 100, 2),
            ("KL to the teacher", "kl_divergence", 1, 4),
        ):
            values = [factor * result["test"]["last"][name] for result in of]
            expected = [float(f"{np.mean(values):.{digits}f}"), float(f"{np.std(values, ddof=1):.{digits}f}")]
            assert numbers(measures[heading][place]) == expected, heading
        for heading, expected in (
            ("parameters", [12_345]),
            ("FLOPs", [678_910]),
            ("teacher parameters", [12_345]),
            ("teacher FLOPs", [678_910]),
            ("teacher top-1 %", [91.0, 0.0]),
            ("teacher top-5 %", [99.0, 0.0]),
            ("teacher calibration error %", [2.0, 0.0]),
        ):
            assert numbers(measures[heading][place]) == expected, heading
        assert len(measures) == 13, "every row is checked"
    for heading, digits, read in (
        ("last % − baseline", 2, lambda result: 100 * result["test"]["last"]["accuracy"]),
        ("red − baseline", 3, lambda result: result["pid_test"]["stage2"]["redundant"]),
        ("uni T − baseline", 3, lambda result: result["pid_test"]["stage2"]["unique_teacher"]),
    ):
        of, base = (np.array([read(result) for result in results(root, method)]) for method in ("kd", "none"))
        interval = stats.ttest_1samp(of - base, 0).confidence_interval(0.95)
        expected = [float(f"{value:.{digits}f}") for value in (np.mean(of - base), interval.low, interval.high)]
        assert numbers(compared[heading]) == expected, heading
    assert table["kd"]["n"] == "2 of 3"


def test_the_curves_are_means_and_deviations_of_the_logs(study):
    root, _, page = study
    wanted = {"validation accuracy": [("val/accuracy", 100)], "training loss": [("train/loss", 1)]}
    titles = ATOM_LABELS.values()
    for title, atom in zip(titles, ATOMS, strict=True):
        wanted[title] = [(f"pid/{stage}/{atom}", 1) for stage in STAGES]
    for title, keys in wanted.items():
        assert len(page.pictures[title]) == len(keys)
        for (key, factor), traces in zip(keys, page.pictures[title], strict=True):
            for method in METHODS:
                logs = rows(root, method, (0, 1, 2) if method == "kd" else SEEDS)
                values = [[factor * log[epoch][key] for log in logs if key in log[epoch]] for epoch in range(EPOCHS)]
                epochs = [epoch + 1 for epoch, of in enumerate(values) if 2 * len(of) >= len(logs)]
                mean = np.array([np.mean(values[epoch - 1]) for epoch in epochs])
                deviation = np.array([np.std(values[epoch - 1], ddof=1) for epoch in epochs])
                (line,) = [trace for trace in traces if trace["name"] == method]
                (band,) = [trace for trace in traces if trace["name"] == f"{method} band"]
                lacks_one = (title, method) == (ATOM_LABELS["synergistic"], "kd")
                assert line["x"] == epochs == ([1, 3, 4] if lacks_one else [1, 2, 3, 4])
                assert band["x"] == [*epochs, *epochs[::-1]]
                assert line["y"] == pytest.approx(mean)
                assert band["y"] == pytest.approx([*(mean + deviation), *(mean - deviation)[::-1]])


def test_the_classes_and_points_are_those_of_the_results(study):
    root, _, page = study
    for method in METHODS:
        ((heatmap,),) = page.pictures[method]
        counts = np.sum([result["confusion"]["last"] for result in results(root, method)], axis=0)
        assert np.allclose(heatmap["z"], 100 * counts / counts.sum(axis=1, keepdims=True))
        assert heatmap["y"] == [html.escape(name) for name in NAMES]
    (gains,) = page.pictures["gain of each class over method none"]
    each = [np.array([result["class_accuracy"]["last"] for result in results(root, method)]) for method in METHODS]
    assert gains[0]["y"] == pytest.approx(100 * (each[1] - each[0]).mean(axis=0))
    for title, name, factor in (
        ("agreement with the teacher", "agreement", 100),
        ("calibration error; diamond: the teacher's", "calibration_error", 100),
        ("KL divergence from the teacher", "kl_divergence", 1),
    ):
        ((*points,),) = page.pictures[title]
        drawn = {trace["name"]: trace["y"] for trace in points}
        for method in METHODS:
            values = [factor * result["test"]["last"][name] for result in results(root, method)]
            assert drawn[f"{method} runs"] == values, title
            assert drawn[method] == [pytest.approx(np.mean(values))], title
            assert drawn.get(f"{method} teacher", [2.0]) == [2.0]
        assert ("kd teacher" in drawn) == (name == "calibration_error")


def test_what_differs_what_is_missing_and_every_command_is_said(study):
    root, _, page = study
    assert ["model.temperature", "4", "–"] in page.tables[3]
    text = " ".join(page.text)
    for method in METHODS:
        for seed in SEEDS:
            assert f"kdlight fit --config {method}.yaml --seed_everything {seed}" in text
            assert f"kdlight fit --config {root}/method={method}/seed={seed}/config.yaml" in text
    assert f"{root}/method=kd/seed=2 is unfinished" in text
    assert not math.isnan(sum(numbers(page.tables[0][1][2])))
