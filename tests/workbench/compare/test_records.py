"""What is said about runs of a grid that have no folder yet."""

import pytest

from kdlight.workbench.compare.records import read_records


@pytest.mark.parametrize(
    ("printed", "state", "reason"),
    [
        ("kdlight: model.lambda2: expected at least 0, got -1; raise it", "failed", "expected at least 0"),
        (
            "Traceback (most recent call last):\n  File …\nZeroDivisionError: division by zero",
            "failed",
            "division by zero",
        ),
        ("digits/kd.yaml: using digits/kd.yaml from kdlight's configurations", "unfinished", "no step yet"),
        ("", "unfinished", "no step yet"),
    ],
)
def test_a_log_without_a_folder_is_a_failure_only_if_it_names_one(printed, state, reason, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "method=kd,seed=4.log").write_text(printed)
    finished = tmp_path / "method=kd" / "seed=3"
    finished.mkdir(parents=True)
    (finished / "config.yaml").write_text("seed_everything: 3")
    (begun,) = [record for record in read_records([tmp_path]) if record.seed == 4]
    assert (begun.state, begun.axes) == (state, {"method": "kd"})
    assert reason in begun.reason
