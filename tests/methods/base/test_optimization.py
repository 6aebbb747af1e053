"""Optimizers and schedules with which no network can learn are refused."""

import math

import pytest
import torch
from torch.optim import SGD, lr_scheduler

from kdlight.errors import UserError
from kdlight.methods.base.optimization import make_optimizer, make_scheduler
from kdlight.methods.supervised import Supervised
from tests.methods.conftest import build, digits, trainer


def optimizer(**options):
    return SGD([torch.nn.Parameter(torch.ones(2))], **{"lr": 0.1, **options})


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
def test_an_optimizer_gets_finite_numbers(name, value):
    with pytest.raises(UserError, match=f"model.optimizer: expected a finite number for {name}, got {value}"):
        make_optimizer(
            lambda groups: SGD(groups, **{"lr": 0.1, name: value}), [{"params": [torch.ones(1)]}], channels_last=True
        )


def test_a_number_in_a_pair_is_not_finite():
    with pytest.raises(UserError, match=r"for etas, got \(0.5, inf\)"):
        make_optimizer(
            lambda groups: torch.optim.Rprop(groups, etas=(0.5, math.inf)),
            [{"params": [torch.ones(1)]}],
            channels_last=True,
        )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda given: lr_scheduler.CosineAnnealingLR(given, 10, math.nan), "expected a number for eta_min, got nan"),
        (lambda given: lr_scheduler.CosineAnnealingLR(given, 10, math.inf), "got nan after the first epoch"),
        (lambda given: lr_scheduler.StepLR(given, 3, math.nan), "expected a number for gamma, got nan"),
        (lambda given: lr_scheduler.ReduceLROnPlateau(given, min_lr=[math.nan]), "expected a number for .*min_lr"),
        (lambda given: lr_scheduler.ExponentialLR(given, -1), "expected at least 0 for gamma, got -1"),
        (lambda given: lr_scheduler.CosineAnnealingLR(given, -1), "expected at least 0 for T_max, got -1"),
        (lambda given: lr_scheduler.CosineAnnealingLR(given, 5, -1), "expected at least 0 for eta_min, got -1"),
        (lambda given: lr_scheduler.LambdaLR(given, lambda epoch: 1 - 2 * epoch), "got -0.1 after the first epoch"),
        (lambda given: lr_scheduler.CosineAnnealingLR(given, 0), "by which the schedule divides is 0"),
    ],
)
def test_a_schedule_gives_learning_rates(make, said):
    with pytest.raises(UserError, match=f"model.scheduler: .*{said}"):
        make_scheduler(make, optimizer())


def test_schedules_of_torch_pass_and_leave_the_optimizer_as_it_is():
    for make in (
        lambda given: lr_scheduler.CosineAnnealingLR(given, 10),
        lambda given: lr_scheduler.ReduceLROnPlateau(given, threshold=-0.1),
        lambda given: lr_scheduler.MultiStepLR(given, [2, 3], 0.1),
        lambda given: lr_scheduler.LambdaLR(given, lambda epoch: 0.0 if epoch else 1.0),
    ):
        given = optimizer()
        assert make_scheduler(make, given).optimizer is given
        assert given.param_groups[0]["lr"] == 0.1


def test_a_rate_that_turns_negative_later_stops_the_run_there(tmp_path):
    method = build(Supervised, scheduler=lambda given: lr_scheduler.LambdaLR(given, lambda epoch: 2 - 1.5 * epoch))
    with pytest.raises(UserError, match=r"learning rate of at least 0, got -0.05 in epoch 2"):
        trainer(tmp_path, 3).fit(method, digits())


def test_lbfgs_learns_where_gradients_lie_as_it_reads_them_and_is_refused_elsewhere(tmp_path):
    for channels_last in (True, False):
        method = build(Supervised, optimizer=torch.optim.LBFGS, channels_last=channels_last)
        before = [parameter.clone() for parameter in method.student.parameters()]
        if channels_last:
            with pytest.raises(UserError, match=r"set model.channels_last: false"):
                trainer(tmp_path, 1).fit(method, digits())
        else:
            trainer(tmp_path, 1, limit_train_batches=2).fit(method, digits())
            assert any(map(torch.ne, map(torch.sum, before), map(torch.sum, method.student.parameters())))


def test_an_optimizer_for_sparse_gradients_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected an optimizer for dense gradients"):
        trainer(tmp_path, 1).fit(build(Supervised, optimizer=torch.optim.SparseAdam), digits())
