import pytest
import torch

from kdlight.methods.base.schedules import add_warm_up, interpolate_weight, ramp_up


@pytest.mark.parametrize(("epochs", "expected"), [(0, [1, 1, 1]), (1, [1, 1, 1]), (4, [0.25, 0.5, 0.75, 1, 1])])
def test_warm_up_counts_from_one(epochs, expected):
    assert [ramp_up(epoch, epochs) for epoch in range(len(expected))] == expected


def test_a_weight_is_a_number_or_linear_between_numbers():
    assert interpolate_weight(3.0, 7) == 3.0
    weights = {10: 1.0, 20: 3.0, 22: 0.0}
    found = [interpolate_weight(weights, epoch) for epoch in (0, 10, 15, 20, 21, 22, 99)]
    assert found == [1.0, 1.0, 2.0, 3.0, 1.5, 0.0, 0.0]


@pytest.mark.parametrize("schedule", [None, lambda opt: torch.optim.lr_scheduler.MultiStepLR(opt, [2, 6], gamma=0.1)])
def test_a_warmed_up_rate_is_the_schedule_times_the_growth(schedule):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8)
    scheduler = add_warm_up(optimizer, schedule, 4)
    for epoch in range(9):
        decay = 1.0 if schedule is None else 0.1 ** ((epoch >= 2) + (epoch >= 6))
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.8 * decay * ramp_up(epoch, 4))
        optimizer.step()
        scheduler.step()


def test_a_schedule_that_overwrites_the_rate_is_refused():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8)
    with pytest.raises(ValueError, match=r"MultiStepLR.*got LambdaLR"):
        add_warm_up(optimizer, lambda opt: torch.optim.lr_scheduler.LambdaLR(opt, lambda epoch: 0.1), 4)
