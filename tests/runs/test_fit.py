"""What a run hands to loggers."""

import lightning.pytorch
from lightning.pytorch.loggers.logger import Logger

from kdlight.methods.supervised import Supervised
from kdlight.runs.fit import add_run_options, fit_and_test
from kdlight.runs.folder import RunFolder
from tests.methods.conftest import build, digits, trainer


class Kept(Logger):
    """Keeps what it is given."""

    name, version = "kept", ""

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_hyperparams(self, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        self.rows.append(dict(metrics))


def test_the_tests_of_the_last_and_of_the_selected_weights_have_a_name_each(tmp_path):
    lightning.pytorch.seed_everything(0, verbose=False)
    folder, module, kept = RunFolder(tmp_path), digits(augment=True, val_size=100), Kept()
    given = {"enable_progress_bar": False, "logger": [kept]}
    loop = trainer(tmp_path, 1, **add_run_options(given, folder, module, config="model: {}"))
    fit_and_test(loop, build(Supervised), module, folder)
    result = folder.read_result()
    logged = [(name, value) for row in kept.rows for name, value in row.items() if name.startswith("test")]
    assert len(logged) == len(dict(logged))
    assert dict(logged)["test_last/accuracy"] == result["test"]["last"]["accuracy"]
    assert dict(logged)["test_selected/accuracy"] == result["test"]["best"]["accuracy"]
    assert not any(name.startswith("test") for row in folder.read_metrics().values() for name in row)
