import torch
from torch import nn

from kdlight.models.evaluating import evaluating


def test_every_module_returns_to_its_own_mode() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[1].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        assert not model(torch.ones(3, 2)).requires_grad
    assert [module.training for module in model.modules()] == [True, True, False]
