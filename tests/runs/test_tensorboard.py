"""TensorBoard by switching the logger: its event files have the numbers of the run, and nothing else changes."""

import csv
import json

import pytest

from kdlight.__main__ import main

SHORT = ["--data.train_per_class=6", "--data.batch_size=30", "--trainer.max_epochs=2", "--trainer.callbacks=null"]


def test_the_events_have_the_numbers_of_the_run(tmp_path, monkeypatch):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config=digits/teacher.yaml", "--config=loggers/tensorboard.yaml", *SHORT]) == 0
    run = tmp_path / "runs/digits/teacher"
    assert run.is_dir(), "the logger does not change the folder's name"
    logged = {}
    for file in run.glob("tensorboard/events*"):
        read = events.EventAccumulator(str(file))
        read.Reload()
        logged |= {tag: {event.step: event.value for event in read.Scalars(tag)} for tag in read.Tags()["scalars"]}
    with (run / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2
    for key in rows[0].keys() - {"step"}:
        expected = {int(row["step"]): float(row[key]) for row in rows if row[key]}
        assert logged[key] == pytest.approx(expected), key
    result = json.loads((run / "result.json").read_text())
    for ours, prefix in (("last", "test_last"), ("best", "test_selected")):
        for name, value in result["test"][ours].items():
            assert list(logged[f"{prefix}/{name}"].values()) == [pytest.approx(value)]
    assert "hp_metric" not in logged
