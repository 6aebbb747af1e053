"""Optimal brain damage: which weights go, and that they stay away."""

from typing import ClassVar

import pytest
import torch
from lightning.pytorch import Callback

from kdlight.callbacks.pruning.optimal_brain_damage import OptimalBrainDamage, mask_lowest
from kdlight.callbacks.pruning.second_derivatives import estimate_hessian_diagonal
from kdlight.methods.kd import KD
from kdlight.methods.supervised import Supervised
from tests.methods.conftest import build, digits, trainer

SETTINGS = {"first_epoch": 1, "sparsity": 0.5, "fraction": 0.3, "samples": 50}


def pruned(model):
    return [parameter for parameter in model.student.parameters() if parameter.ndim > 1]


def zeros(weights):
    return sum(int((weight == 0).sum()) for weight in weights)


class Watch(Callback):
    """The numbers of zeros when a step begins and ends, by epoch."""

    def __init__(self):
        self.begun, self.ended, self.count = {}, {}, 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        weights = pruned(pl_module)
        self.count = sum(weight.numel() for weight in weights)
        self.begun.setdefault(trainer.current_epoch, set()).add(zeros(weights))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.ended.setdefault(trainer.current_epoch, set()).add(zeros(pruned(pl_module)))


def test_the_lowest_of_all_layers_go():
    saliencies = {"a": torch.tensor([[3.0, -1.0], [0.5, 9.0]]), "b": torch.tensor([[0.0, 4.0]])}
    kept = mask_lowest(saliencies, 3)
    assert kept["a"].tolist() == [[True, False], [False, True]]
    assert kept["b"].tolist() == [[False, True]]


def test_weights_are_deleted_step_by_step_and_stay_deleted(tmp_path):
    watch, prune = Watch(), OptimalBrainDamage(**SETTINGS)
    model = build(Supervised)
    loop = trainer(tmp_path, 5, callbacks=[prune, watch])
    loop.fit(model, datamodule=digits())
    loop.save_checkpoint(tmp_path / "end.ckpt")

    deleted, expected = 0, [0]
    for _ in range(4):
        deleted = min(round(0.5 * watch.count), deleted + -int(-0.3 * (watch.count - deleted) // 1))
        expected.append(deleted)
    assert expected[-1] == expected[-2] == round(0.5 * watch.count)
    assert [watch.ended[epoch] for epoch in range(5)] == [{number} for number in expected]
    assert watch.begun == watch.ended
    assert loop.callback_metrics["sparsity"].item() == pytest.approx(0.5, abs=1e-4)

    weights = torch.load(tmp_path / "end.ckpt", weights_only=True)["state_dict"]
    stored = [value for name, value in weights.items() if name.startswith("student.") and value.ndim > 1]
    assert zeros(stored) == expected[-1]
    exported = {name: value for name, value in model.student.state_dict().items() if value.ndim > 1}
    assert zeros(exported.values()) == expected[-1]


def test_the_first_deletion_takes_the_lowest_saliencies(tmp_path):
    data, model = digits(), build(Supervised)
    trainer(tmp_path, 1).fit(model, datamodule=data)
    batches = [(batch.images, batch.target) for batch in data.choose_probe_batches("train", 50)]
    derivatives = estimate_hessian_diagonal(model.student, batches)
    saliencies = {
        name: 0.5 * derivatives[name] * weight.detach() ** 2
        for name, weight in model.student.named_parameters()
        if weight.ndim > 1
    }
    prune, again = OptimalBrainDamage(**SETTINGS), build(Supervised)
    trainer(tmp_path, 2, callbacks=[prune]).fit(again, datamodule=digits())
    flat = torch.cat([values.flatten() for values in saliencies.values()])
    kept = torch.cat([prune.kept[name].flatten() for name in saliencies])
    assert (~kept).sum() == -int(-0.3 * len(flat) // 1)
    assert flat[~kept].max() <= flat[kept].min()


def test_resumed_equals_uninterrupted(tmp_path):
    whole = build(KD)
    trainer(tmp_path, 4, callbacks=[OptimalBrainDamage(**SETTINGS)]).fit(whole, datamodule=digits(augment=True))
    stopped = trainer(tmp_path, 3, callbacks=[OptimalBrainDamage(**SETTINGS)])
    stopped.fit(build(KD), datamodule=digits(augment=True))
    stopped.save_checkpoint(tmp_path / "stopped.ckpt")
    resumed = build(KD)
    loop = trainer(tmp_path, 4, callbacks=[OptimalBrainDamage(**SETTINGS)])
    loop.fit(resumed, datamodule=digits(augment=True), ckpt_path=tmp_path / "stopped.ckpt", weights_only=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


class Falling(Supervised):
    """Its validation accuracy is what the test wants."""

    accuracies: ClassVar[list[float]] = [0.9, 0.8, 0.7, 0.95, 0.95]

    def validation_step(self, batch, batch_idx):
        self.log("val/accuracy", self.accuracies[self.current_epoch])


def test_signals_when_the_accuracy_has_fallen_too_far(tmp_path):
    watch = Watch()
    prune = OptimalBrainDamage(first_epoch=1, sparsity=0.9, fraction=0.1, max_drop=0.15, samples=50)
    model = Falling(build(Supervised).student)
    loop = trainer(tmp_path, 5, callbacks=[prune, watch])
    loop.fit(model, datamodule=digits())
    numbers = [max(watch.ended[epoch]) for epoch in range(5)]
    assert 0 == numbers[0] < numbers[1] < numbers[2] == numbers[3]
    assert numbers[4] == numbers[3], "an accuracy that comes back does not start it again"
    assert prune.selectable(loop)
    assert prune.reference == pytest.approx(0.9)


def test_errors(tmp_path):
    with pytest.raises(ValueError, match="expected first_epoch to be greater than or equal to 1, got 0"):
        OptimalBrainDamage(first_epoch=0, sparsity=0.5)
    with pytest.raises(ValueError, match="expected sparsity to be less than 1, got 50"):
        OptimalBrainDamage(first_epoch=1, sparsity=50)
    thrifty = trainer(tmp_path, 2, callbacks=[OptimalBrainDamage(**SETTINGS, max_drop=0.1)], limit_val_batches=0)
    with pytest.raises(ValueError, match="val_size 0"):
        thrifty.fit(build(Supervised), datamodule=digits(val_size=0))
    other, data = trainer(tmp_path, 2, callbacks=[OptimalBrainDamage(**SETTINGS)]), digits()
    data.setup("fit")
    batches = data.choose_probe_batches("train")
    with pytest.raises(ValueError, match="kdlight data module, got NoneType"):
        other.fit(build(Supervised), batches, batches)
