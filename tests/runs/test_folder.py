"""Which folder a run goes on in."""

from kdlight.runs.folder import RunFolder, latest, next_free


def saved(path, *names):
    for name in names:
        RunFolder(path).checkpoint(name).parent.mkdir(parents=True, exist_ok=True)
        RunFolder(path).checkpoint(name).touch()


def test_the_newest_run_with_the_checkpoint_is_gone_on_with(tmp_path):
    base = tmp_path / "kd"
    assert latest(base, "last").path == base
    saved(base, "last", "best")
    saved(tmp_path / "kd-2", "last")
    (tmp_path / "kd-3/checkpoints").mkdir(parents=True)
    assert latest(base, "last").path == tmp_path / "kd-2"
    assert latest(base, "best").path == base
    assert next_free(base).path == tmp_path / "kd-4"
