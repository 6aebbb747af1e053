"""The study of symbols measures what the callback measures, and takes runs of one teacher only."""

import pandas as pd
import pytest

import kdlight
from kdlight.workbench.pid_study import symbol_choices


@pytest.mark.slow
def test_the_default_symbols_give_what_the_run_itself_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(symbol_choices, "KINDS", {"default": ("kmeans", None), "probe": ("probe", None)})
    short = {"trainer.max_epochs": 2, "model.scheduler.T_max": 2}
    run = kdlight.fit("digits/kd.yaml", short, seed=3)
    other = kdlight.fit("digits/kd.yaml", {**short, "model.teacher_weights": None, "model.untrained_teacher": True})
    assert symbol_choices.main([str(run.folder), "--keep", "rows.csv"]) == 0
    rows = pd.read_csv("rows.csv").set_index(["symbols", "stage"])
    for stage, name in (("stage3", "deepest"), ("logits", "logits")):
        for value in ("redundant", "unique_teacher", "information_student"):
            measured = run.result["pid_test"][stage][value]
            assert rows.loc[("default", name), value] == pytest.approx(measured, abs=1e-5)
    assert (rows.loc["probe", "redundant"] > 0).all()
    capsys.readouterr()
    assert symbol_choices.main([str(run.folder), str(other.folder), "--keep", "rows.csv"]) == 2
    assert "runs of one teacher" in capsys.readouterr().err
