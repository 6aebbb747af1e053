"""One run writes into a folder at a time, and a start that is refused leaves none."""

import os
import signal
import threading
import time
import warnings
from pathlib import Path

import pytest
import torch

from kdlight.__main__ import main
from kdlight.errors import UserError
from kdlight.runs.claim import CLAIMED, Claim, FolderInUseError
from kdlight.runs.folder import RunFolder

ROOT = Path(__file__).parents[2]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.logger=false"]
TINY = ["--data.train_per_class=5", "--data.batch_size=25", "--trainer.callbacks=null", *QUIET]


def test_every_start_takes_a_folder_of_its_own(tmp_path):
    base, claims = tmp_path / "runs/kd", []
    start = threading.Barrier(8)

    def claim():
        start.wait()
        claims.append(Claim.take_new(base))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {claim.folder.path.name for claim in claims}
    assert names == {"kd", *(f"kd-{number}" for number in range(2, 9))}
    claims[0].folder.metrics.touch()
    for claim in claims:
        claim.release()
    assert [path.name for path in base.parent.iterdir()] == [claims[0].folder.path.name], "only one run began"


def test_the_folder_of_a_start_that_was_refused_is_removed_with_the_folders_above_it(tmp_path):
    (tmp_path / "runs").mkdir()
    with Claim.take_new(tmp_path / "runs/digits/kd") as claim:
        claim.folder.checkpoints.mkdir()
        claim.folder.config.touch()
    assert not list((tmp_path / "runs").iterdir())
    assert CLAIMED not in os.environ


def test_a_live_run_is_not_written_into(tmp_path):
    with Claim.take_new(tmp_path / "kd") as claim:
        claim.folder.metrics.touch()
        with pytest.raises(FolderInUseError, match=r"another process is training in .*kd"):
            Claim.take_existing(claim.folder)
    Claim.take_existing(claim.folder).release()
    assert claim.folder.metrics.exists()


def test_the_other_processes_of_a_run_learn_its_folder(tmp_path, monkeypatch):
    (tmp_path / "kd").mkdir()
    with Claim.take_new(tmp_path / "kd") as claim:
        monkeypatch.setenv("LOCAL_RANK", "1")
        other = Claim.take_new(tmp_path / "kd")
        assert other.folder == claim.folder == RunFolder(tmp_path / "kd-2")
        other.release()
        assert claim.folder.path.is_dir()
        Claim.take_existing(claim.folder).release()
    not_yet_made = RunFolder(tmp_path / "slower")
    Claim.take_named(not_yet_made).release()
    assert not not_yet_made.path.exists()


@pytest.mark.parametrize("place", ["/dev/null", "file", "file/kd", "/proc/kd"])
def test_a_place_where_no_folder_can_be(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(UserError, match=r"expected a folder|cannot be made there") as raised:
        Claim.take_new(Path(place))
    assert place in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def forked(act):
    """Run a function in a process of its own; returns the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # later Pythons warn of threads beside a fork
        process = os.fork()
    if process == 0:
        try:
            os._exit(act())
        finally:
            os._exit(1)
    return process


def fit(*options):
    return main(["fit", "--config", str(ROOT / "configs/digits/teacher.yaml"), *TINY, *options])


@pytest.mark.parametrize(
    ("number", "times"),
    [(2, 1), pytest.param(2, 3, marks=pytest.mark.slow), pytest.param(8, 3, marks=pytest.mark.slow)],
)
def test_fits_that_start_together_have_a_folder_and_a_result_each(number, times, tmp_path, monkeypatch):
    """Each time beside the runs of the times before; what a seed trains does not depend on its neighbours."""
    monkeypatch.chdir(tmp_path)
    options = "--trainer.max_epochs=1", "--trainer.limit_test_batches=1"
    seen, weights = set(), {}
    for _ in range(times):
        processes = [forked(lambda seed=seed: fit(*options, f"--seed_everything={seed}")) for seed in range(number)]
        assert [os.waitpid(process, 0)[1] for process in processes] == [0] * number
        runs = [RunFolder(path) for path in (tmp_path / "runs/digits").iterdir() if path.name not in seen]
        seen |= {run.path.name for run in runs}
        seeds = [run.read_result()["seed"] for run in runs]
        assert sorted(seeds) == list(range(number))
        for run, seed in zip(runs, seeds, strict=True):
            assert run.read_config()["seed_everything"] == seed
            assert list(run.read_metrics()) == [0]
            trained = next(iter(torch.load(run.locate_checkpoint("last"), weights_only=True)["state_dict"].values()))
            assert torch.equal(trained, weights.setdefault(seed, trained))
    assert len(seen) == number * times
    assert not any(torch.equal(weights[0], weights[seed]) for seed in range(1, number))


def test_a_killed_run_does_not_keep_its_folder(tmp_path):
    def claim():
        with Claim.take_new(tmp_path / "kd") as claim:
            claim.folder.metrics.touch()
            time.sleep(600)

    folder, process = RunFolder(tmp_path / "kd"), forked(claim)
    while not folder.metrics.exists():
        time.sleep(0.01)
    with pytest.raises(FolderInUseError):
        Claim.take_existing(folder)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    Claim.take_existing(folder).release()


def test_of_two_resumes_one_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with Claim.take_new(tmp_path / "runs/digits/teacher") as claim:
        claim.folder.checkpoints.mkdir()
        claim.folder.locate_checkpoint("last").touch()
        assert fit("--ckpt_path=last") == 2
    said = capsys.readouterr().err
    assert said.startswith("kdlight: another process is training in runs/digits/teacher")
    assert len(said.splitlines()) == 1


def test_a_refused_start_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert fit("--trainer.default_root_dir=here/kd", "--data.val_size=5000") == 2
    assert "val_size" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
