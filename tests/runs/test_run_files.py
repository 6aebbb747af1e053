"""What is checked and written before the first step of a run."""

import pytest

from kdlight.data.base.samples import Samples
from kdlight.data.digits import TEST_SIZE, DigitsDataModule
from kdlight.errors import UserError
from kdlight.methods.supervised import Supervised
from kdlight.runs.folder import RunFolder
from kdlight.runs.run_files import RunFiles
from tests.runs.conftest import run


def test_a_damaged_test_image_is_found_before_training(tmp_path, monkeypatch):
    def check(samples):
        assert len(samples) == TEST_SIZE
        raise UserError("bird.jpg cannot be decoded")

    monkeypatch.setattr(Samples, "check_images", check)
    with pytest.raises(UserError, match=r"bird\.jpg cannot be decoded"):
        run(tmp_path, Supervised)
    assert not RunFolder(tmp_path).locate_checkpoint("last").exists()


def test_a_broken_test_set_is_said_before_the_first_step(tmp_path, monkeypatch):
    def missing(self):
        raise FileNotFoundError("test_batch.bin is missing")

    monkeypatch.setattr(DigitsDataModule, "read_test", missing)
    with pytest.raises(FileNotFoundError, match="test_batch"):
        run(tmp_path, Supervised, epochs=1)
    assert not RunFolder(tmp_path).metrics.exists()


def test_a_configuration_that_differs_is_kept_beside_the_new_one(tmp_path):
    folder = RunFolder(tmp_path)
    for config in ("a: 1\n", "a: 1\n", "a: 2\n", "a: 3\n"):
        RunFiles(folder, config)._write_config()
    kept = [folder.locate_earlier_config(1), folder.locate_earlier_config(2), folder.config]
    assert [file.read_text() for file in kept] == ["a: 1\n", "a: 2\n", "a: 3\n"]
    assert len(list(tmp_path.iterdir())) == 3
