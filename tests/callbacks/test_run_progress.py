"""What the terminal shows while a run trains and tests."""

import csv
import io
import re
import warnings

from rich.console import Console

from kdlight.callbacks import run_progress
from kdlight.callbacks.run_progress import RunProgress, _count_all_batches
from kdlight.methods.supervised import Supervised
from kdlight.runs.fit import add_run_options, fit_and_test
from kdlight.runs.folder import RunFolder
from tests.methods.conftest import build, digits, trainer


def shown(tmp_path, width):
    """The lines that a run of two epochs draws on a terminal, one after the other."""
    stream = io.StringIO()
    bar = RunProgress(Console(file=stream, width=width, force_terminal=True))
    folder, module = RunFolder(tmp_path), digits(val_size=100)
    given = {"callbacks": [bar], "enable_progress_bar": True, "enable_model_summary": False}
    loop = trainer(tmp_path, 2, **add_run_options(given, folder, module, config="model: {}"), enable_progress_bar=True)
    fit_and_test(loop, build(Supervised), module, folder)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    return [line for line in re.split(r"[\r\n]+", plain) if line.strip()]


def test_epochs_count_from_one_and_the_last_line_says_loss_accuracy_and_time_left(tmp_path):
    lines = shown(tmp_path, 80)
    assert all(len(line) <= 80 for line in lines)
    epochs = {match[1] for line in lines if (match := re.match(r"epoch (\d+)/2", line))}
    assert {"2"} <= epochs <= {"1", "2"}, "the first may have ended before the bar was drawn again"
    last = [line for line in lines if line.startswith("epoch")][-1]  # drawn when the bar ends, whatever came before
    with (tmp_path / "metrics.csv").open() as stream:
        accuracy = 100 * float(list(csv.DictReader(stream))[-1]["val/accuracy"])
    assert re.match(rf"epoch 2/2 .* 100 % loss \d+(\.\d+)?  val {accuracy:.2f} % +(00:00|--:--) left", last)
    assert any(line.startswith("testing") for line in lines)
    assert not any("DataLoader" in line or "Sanity" in line for line in lines)


def test_the_whole_run_is_the_end_of_the_bar(tmp_path):
    module = digits()
    for options, expected in (({"max_steps": 3}, 3), ({"max_steps": -1}, 8)):
        bar, ends = RunProgress(Console(file=io.StringIO())), []
        loop = trainer(tmp_path, 2, callbacks=[bar], **options, limit_val_batches=0, enable_progress_bar=True)
        bar.on_train_epoch_start = lambda trainer, module, ends=ends: ends.append(_count_all_batches(trainer))
        loop.fit(build(Supervised), module)
        assert set(ends) == {expected}


def test_in_a_notebook_without_ipywidgets_it_says_once_what_to_install(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(run_progress, "find_spec", lambda name: None)
    bar = RunProgress(Console(force_jupyter=True))
    module = digits(val_size=100)
    with caplog.at_level("INFO"), warnings.catch_warnings(record=True) as warned:
        trainer(tmp_path, 2, callbacks=[bar], enable_progress_bar=True).fit(build(Supervised), datamodule=module)
    assert [record.message for record in caplog.records if "ipywidgets" in record.message] == [
        "progress is printed as lines; a bar in a notebook needs ipywidgets (pip install ipywidgets)"
    ]
    assert not any("ipywidgets" in str(each.message) for each in warned)


def test_a_file_gets_a_line_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(run_progress, "LOGGED_EVERY", 0.0)
    stream = io.StringIO()
    bar = RunProgress(Console(file=stream, width=80))
    loop = trainer(tmp_path, 2, callbacks=[bar], enable_progress_bar=True)
    loop.fit(build(Supervised), datamodule=digits(val_size=100))
    lines = stream.getvalue().splitlines()
    form = re.compile(r"epoch 2/2  \d+ %  loss [\d.]+(  val [\d.]+ %)?(  \d:\d\d:\d\d left)?$")
    assert any(map(form.match, lines))
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_no_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(run_progress, "LOGGED_EVERY", 0.0)
    assert not [line for line in shown(tmp_path, 80) if re.match(r"epoch \d/2  \d+ %  loss", line)]
