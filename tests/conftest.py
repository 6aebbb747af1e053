import kdlight  # noqa: F401, I001  before lightning and torchvision: see kdlight/torchvision_shim.py

import pytest
import torch

pytest_plugins = ["tests.oracle", "tests.server", "tests.finished_run"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Small tensors gain nothing from threads that wait for one another, and sums keep their order."""
    torch.set_num_threads(1)
