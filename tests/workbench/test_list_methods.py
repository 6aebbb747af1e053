"""`kdlight methods`: what it says of every method that is shipped."""

import pytest

from kdlight.__main__ import main
from kdlight.workbench.list_methods import find_paper, find_what_it_distils, list_methods
from kdlight.workbench.source_classes import Argument, list_arguments
from tests.methods.conftest import ROOT
from tests.methods.conftest import shipped as concrete

METHODS = list_methods()


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def test_lists_every_method_that_has_a_configuration(capsys):
    assert main(["methods"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.split()]
    configured = sorted(file.stem for file in (ROOT / "configs/methods").glob("*.yaml"))
    assert [name for name in listed if name in METHODS] == sorted(METHODS) == configured
    assert {method.name for method in METHODS.values()} == {made.__name__ for made in concrete()}


@pytest.mark.parametrize("stem", sorted(METHODS))
def test_knows_the_paper_what_is_distilled_and_every_argument(stem):
    method = METHODS[stem]
    if stem == "supervised":
        assert find_paper(method) is None
    else:
        paper = find_paper(method)
        assert paper.authors[0].isupper()
        assert len(paper.title) > 10
        assert 1989 <= int(paper.year) <= 2026
        assert find_what_it_distils(method) != "–"
    for owner, arguments in list_arguments(method):
        for argument in arguments:
            assert argument.meaning, f"{owner.name} does not say what {argument.name} is"


def test_reads_paper_and_arguments_from_the_code():
    assert find_paper(METHODS["dkd"]) == ("Zhao et al.", "Decoupled Knowledge Distillation", "2022")
    assert find_paper(METHODS["at"])[0] == "Zagoruyko, Komodakis"
    by_owner = {owner.name: arguments for owner, arguments in list_arguments(METHODS["rid"])}
    assert list(by_owner) == ["RID", "FilteredDistiller", "FeatureDistiller", "Distiller", "Learner"]
    assert Argument("cycle_epochs", "30", "q, number of epochs of a cycle.") in by_owner["RID"]
    assert by_owner["RID"][0][:2] == ("lambda2", "(required)")


@pytest.mark.parametrize("name", ["dkd", "DKD", "Dkd"])
def test_shows_one_method(name, capsys):
    assert main(["methods", name]) == 0
    printed = capsys.readouterr().out
    for part in ("arXiv 2203.08679", "w(epoch) T^2 (alpha TCKD + beta NCKD)", "warmup_epochs", "standardize_logits"):
        assert part in printed


@pytest.mark.parametrize(("name", "hint"), [("dkdd", "did you mean 'dkd'?"), ("zzzz", "`kdlight methods` lists them")])
def test_a_method_that_does_not_exist_is_said_in_one_line(name, hint, capsys):
    assert main(["methods", name]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"kdlight: there is no method '{name}'; {hint}\n"
