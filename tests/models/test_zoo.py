"""The zoo against reference networks: `zoo.json` holds what RepDistiller's code gives on weights filled by a recipe."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import kdlight.models

ORACLE: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("zoo.json").read_text())["models"]


def fill(state_dict: dict[str, Tensor]) -> None:
    """The recipe of `zoo.json`."""
    tensors = [(name, tensor) for name, tensor in state_dict.items() if not name.endswith("num_batches_tracked")]
    for i, (name, tensor) in enumerate(tensors):
        s = torch.from_numpy(np.random.RandomState(i).standard_normal(tensor.numel())).reshape(tensor.shape)
        if name.endswith("running_mean"):
            tensor.copy_(0.1 * s)
        elif name.endswith("running_var"):
            tensor.copy_(1 + 0.5 * s**2)
        elif tensor.ndim >= 2:
            tensor.copy_(s / tensor[0].numel() ** 0.5)
        elif name.endswith("weight"):
            tensor.copy_(1 + 0.1 * s)
        else:
            tensor.copy_(0.1 * s)


def assert_close(tensors: list[Tensor], expected: list[float]) -> None:
    torch.testing.assert_close(torch.stack(tensors), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", ORACLE)
def test_network_equals_the_reference(name: str) -> None:
    oracle = ORACLE[name]
    model = getattr(kdlight.models, name)(oracle["num_classes"]).double().eval()
    state_dict = model.state_dict()
    assert [[key, list(tensor.shape)] for key, tensor in state_dict.items()] == oracle["state_dict"]
    assert sum(parameter.numel() for parameter in model.parameters()) == oracle["parameters"]

    fill(state_dict)
    images = torch.from_numpy(np.random.RandomState(123).standard_normal((2, 3, 32, 32)))
    with torch.no_grad():
        activations = model.activations(images)

    assert_close(list(activations.logits[:, :10].flatten()), np.ravel(oracle["logits_first_10"]).tolist())
    features = [activations.stem, *activations.stages, activations.embedding]
    assert [list(feature.shape[1:]) for feature in features] == oracle["feature_shapes"]
    assert_close([feature.mean() for feature in features], oracle["feature_means"])
    assert_close([feature.std() for feature in features], oracle["feature_stds"])
    if "preactivation_means" in oracle:
        assert_close([feature.mean() for feature in activations.preactivations], oracle["preactivation_means"])
        assert_close([feature.std() for feature in activations.preactivations], oracle["preactivation_stds"])
    else:
        assert activations.preactivations is None
