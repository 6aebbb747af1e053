"""The oracle of losses and methods: values and gradients of the reference implementations, from losses/oracles.json."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.models.activations import Activations

RELATIVE = 1e-9


class Oracle:
    """The cases of oracles.json, their inputs and the comparison with them."""

    def __init__(self) -> None:
        stored = json.loads((Path(__file__).parent / "losses/oracles.json").read_text())
        self.seed: int = stored["seed"]
        self.cases: dict[str, dict[str, Any]] = {case["name"]: case for case in stored["cases"]}

    def inputs(self) -> SimpleNamespace:
        """The inputs of the file's `recipe`: float64 leaves that require gradients, and the target."""
        random = np.random.RandomState(self.seed)

        def normal(*shape: int, scale: float = 1.0) -> Tensor:
            return torch.from_numpy(scale * random.standard_normal(shape)).requires_grad_()

        def maps(*channels: int) -> list[Tensor]:
            return [normal(8, width, size, size) for width, size in zip(channels, (16, 8, 4), strict=True)]

        return SimpleNamespace(
            student_logits=normal(8, 20, scale=2),
            teacher_logits=normal(8, 20, scale=3),
            target=torch.from_numpy(random.randint(0, 20, 8)),
            student_feats=maps(8, 12, 16),
            teacher_feats=maps(16, 24, 32),
            teacher_feats_same_width=maps(8, 12, 16),
            student_pooled=normal(8, 16),
            teacher_pooled=normal(8, 32),
        )

    def fill(self, name: str) -> dict[str, Tensor]:
        """The learnable parameters of a case by name, filled as its `fill_rule` says; the names fit a state_dict."""
        filled = {}
        for number, parameter, shape, rule in self.cases[name]["fill"]:
            values = torch.from_numpy(np.random.RandomState(1000 + number).standard_normal(math.prod(shape)))
            if rule.startswith("w/sqrt"):
                values = values / math.sqrt(values.numel() / shape[0])
            elif rule == "bn":
                values = 1 + 0.1 * values
            else:
                assert rule == "b", rule
                values = 0.1 * values
            filled[parameter] = values.reshape(shape).requires_grad_()
        return filled

    def check(self, name: str, value: Tensor, *leaves: Tensor, expected: float | None = None) -> None:
        """Compare a value, its gradients' norms and their first three entries with a case, to relative 1e-9.

        Args:
            name: The case.
            value: The loss.
            leaves: What the case lists gradients of, in its order.
            expected: Another value of the case than `value`, which then has the same gradients.
        """
        case = self.cases[name]
        gradients = torch.autograd.grad(value, leaves, retain_graph=True)
        assert value.item() == pytest.approx(case["value"] if expected is None else expected, rel=RELATIVE)
        assert [g.norm().item() for g in gradients] == pytest.approx(case["grad_norms"], rel=RELATIVE)
        for gradient, first in zip(gradients, case["grad_first_3"], strict=True):
            assert gradient.flatten()[:3].tolist() == pytest.approx(
                first, rel=RELATIVE, abs=RELATIVE * gradient.norm().item()
            )


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture
def inputs(oracle: Oracle) -> SimpleNamespace:
    return oracle.inputs()


@pytest.fixture
def oracle_batch(inputs: SimpleNamespace) -> Batch:
    return Batch(torch.empty(8, 0), inputs.target, torch.arange(8))


@pytest.fixture
def oracle_student(inputs: SimpleNamespace) -> Activations:
    maps = tuple(inputs.student_feats)
    return Activations(inputs.student_logits, inputs.student_pooled, maps, maps)


@pytest.fixture
def oracle_teacher(inputs: SimpleNamespace) -> Activations:
    maps = tuple(inputs.teacher_feats)
    return Activations(inputs.teacher_logits, inputs.teacher_pooled, maps, maps)


@pytest.fixture
def oracle_teacher_same_width(inputs: SimpleNamespace) -> Activations:
    maps = tuple(inputs.teacher_feats_same_width)
    return Activations(inputs.teacher_logits, inputs.teacher_pooled, maps, maps)
