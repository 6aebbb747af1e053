import pytest
import torch

from kdlight.processes import gather_object, gather_tensor, is_distributed, read_run_seed


def test_a_single_process_gathers_its_own() -> None:
    values = torch.arange(3)
    assert not is_distributed()
    assert gather_tensor(values) is values
    assert gather_object({"a": 1}) == [{"a": 1}]


def test_the_seed_of_the_run_is_lightnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    assert read_run_seed() == 0
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    assert read_run_seed() == 4
