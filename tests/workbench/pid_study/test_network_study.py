"""The study of networks, in small: stored features instead of CIFAR-10 and published weights."""

import numpy as np
import pytest

from kdlight.__main__ import main as run_kdlight  # noqa: F401  # before torchvision
from kdlight.workbench.pid_study import network_study
from kdlight.workbench.pid_study.network_study import Case, main

CASES = (
    Case("trained", "stage", "kmeans", 3),
    Case("trained", "stage", "probe", 3, fitted_on="counted"),
    Case("trained", "logits", "predictions", 3, repeats=1),
)


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    target = rng.integers(3, size=600)
    (tmp_path / "kept").mkdir()
    for name, spread in (("teacher", 0.3), ("trained", 0.6)):
        logits = np.eye(3)[target] + spread * rng.standard_normal((600, 3))
        np.savez(tmp_path / "kept" / f"{name}.npz", stage=logits @ rng.standard_normal((3, 5)), logits=logits)
    np.concatenate([target[:, None], np.zeros((600, 3072))], axis=1).astype(np.uint8).tofile(
        tmp_path / "data_batch_1.bin"
    )
    monkeypatch.setattr(network_study, "list_cases", lambda: ((case, (100, 200), 1) for case in CASES))
    monkeypatch.setattr(network_study, "POOL", 6)
    files = [f"--{name}={tmp_path / name}" for name in ("teacher", "student", "kept")]
    return [str(tmp_path), *files, "--repetitions=4"]


def test_a_table_of_every_setting_which_a_second_call_repeats_from_what_was_kept(arguments, tmp_path, capsys):
    assert main(arguments) == 0
    table = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [row[0] for row in rows[::8]] == [str(case) for case in CASES]
    assert {row[1] for row in rows} == {"100", "200"}
    for row in rows:
        if row[2] == "Red":
            assert 0.2 < float(row[3]) < np.log2(3), "both networks know most of three classes"
    lines = (tmp_path / "kept" / "repetitions.jsonl").read_text().splitlines()
    assert len(lines) == len(CASES) * 2 * 4
    assert main(arguments) == 0
    assert capsys.readouterr().out == table
    assert (tmp_path / "kept" / "repetitions.jsonl").read_text().splitlines() == lines
