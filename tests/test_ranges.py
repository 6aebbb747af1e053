"""Ranges that stand in annotations hold for Python callers, and for every method."""

import math

import numpy as np
import pytest
import torch

from kdlight import methods
from kdlight.callbacks import OptimalBrainDamage, PIDMonitor
from kdlight.data import DigitsDataModule
from kdlight.errors import UserError
from kdlight.methods import DKD, KD, RID
from kdlight.models import resnet8
from kdlight.models.frozen import Frozen
from kdlight.ranges import PositiveFloat, check_ranges, read_weights


def networks():
    shape = (1, 8, 8)
    return resnet8(num_classes=10, image_shape=shape), Frozen(resnet8(num_classes=10, image_shape=shape))


@pytest.mark.parametrize(
    ("made", "options", "said"),
    [
        (KD, {"ce_weight": -1}, "KD: expected ce_weight to be greater than or equal to 0, got -1"),
        (KD, {"temperature": math.nan}, "temperature to be"),
        (KD, {"temperature": math.inf}, "temperature to be a finite number, got inf"),
        (KD, {"noisy_fraction": 2.0}, "noisy_fraction to be less than or equal to 1"),
        (DKD, {"warmup_epochs": -1}, "warmup_epochs to be greater than or equal to 0"),
        (RID, {"lambda2": 1.0, "filter_ratio": 0.0}, "filter_ratio to be greater than 0"),
        (RID, {"lambda2": 1.0, "cycle_epochs": 2.5}, "cycle_epochs to be a valid integer, got 2.5"),
        (methods.MLKD, {"temperatures": (1.0, 0.0)}, r"temperatures\[1\] to be greater than 0"),
        (methods.CAKD, {"alpha": {0: -1.0}}, "alpha"),
    ],
)
def test_methods(made, options, said):
    with pytest.raises(UserError, match=said):
        made(*networks(), **options)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DigitsDataModule(augment="no"), "expected augment to be a valid boolean, got 'no'"),
        (lambda: DigitsDataModule(seed=1.5), "expected seed to be a valid integer, got 1.5"),
        (lambda: KD(*networks(), teacher_precision="fp8"), "teacher_precision to be 'bf16' or '16', got 'fp8'"),
        (lambda: KD(*networks(), standardize_logits=1), "standardize_logits to be a valid boolean, got 1"),
    ],
)
def test_bools_and_choices(make, said):
    with pytest.raises(UserError, match=said):
        make()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: KD(*networks(), kd_wieght=1.0), "KD has no argument 'kd_wieght'; did you mean 'kd_weight'?"),
        (lambda: KD(*networks(), optimiser=None), "KD has no argument 'optimiser'; did you mean 'optimizer'?"),
        (lambda: DigitsDataModule(batchsize=4), "no argument 'batchsize'; did you mean 'batch_size'?"),
        (lambda: Own(*networks(), zzz=4), "Own has no argument 'zzz'$"),
    ],
)
def test_a_misspelt_argument_names_the_class_that_was_called(make, said):
    with pytest.raises(TypeError, match=said.replace("?", "[?]")):
        make()


def test_annotations_that_are_strings_are_checked():
    made = {}
    source = """
from __future__ import annotations
from typing import TYPE_CHECKING
from kdlight.ranges import PositiveFloat, RangeCheck, Weight
if TYPE_CHECKING:
    from somewhere import Unknown

class Late(RangeCheck):
    def __init__(self, scale: PositiveFloat, a_weight: Weight = 1.0, other: Unknown | None = None) -> None:
        self.a_weight = a_weight
"""
    exec(source, made)
    with pytest.raises(UserError, match="Late: expected scale to be greater than 0, got 0"):
        made["Late"](0)
    assert read_weights(made["Late"](1.0, 0.5)) == {"a_weight": 0.5}


def test_data_and_callbacks():
    for made, said in (
        (lambda: DigitsDataModule(batch_size=0), "batch_size"),
        (lambda: DigitsDataModule(val_size=-1), "val_size"),
        (lambda: DigitsDataModule(label_noise=2.0), "label_noise"),
        (lambda: PIDMonitor(every_n_epochs=0), "every_n_epochs"),
        (lambda: PIDMonitor(samples=3), "samples"),
        (lambda: OptimalBrainDamage(first_epoch=1, sparsity=1.0), "sparsity"),
    ):
        with pytest.raises(UserError, match=f"expected {said} to be"):
            made()


class Own(methods.LogitDistiller):
    """A method of a user's: its annotations are all that it has to say."""

    def __init__(self, student, teacher, *, own: PositiveFloat = 1.0, **options):
        super().__init__(student, teacher, **options)
        self.own = own

    def loss_terms(self, student, teacher, batch):
        return self.task_terms(student, batch)


def test_a_method_of_a_user():
    with pytest.raises(UserError, match=r"Own: expected own to be greater than 0, got 0"):
        Own(*networks(), own=0)
    with pytest.raises(UserError, match="ce_weight"):
        Own(*networks(), ce_weight=-1.0)
    assert Own(*networks(), own=np.float32(2)).own == 2


def test_a_wrong_call_is_python_s_to_say():
    @check_ranges
    def scaled(values: torch.Tensor, scale: PositiveFloat) -> torch.Tensor:
        return values * scale

    assert scaled(torch.ones(1), 2.0) == 2
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        scaled(torch.ones(1))
    with pytest.raises(UserError, match="expected scale to be greater than 0, got -1"):
        scaled(torch.ones(1), scale=-1)


def test_weights_of_a_method():
    assert read_weights(KD(*networks(), ce_weight=0.0, kd_weight=2.0)) == {"ce_weight": 0.0, "kd_weight": 2.0}
    assert not read_weights(methods.Supervised(networks()[0]))
