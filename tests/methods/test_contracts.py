"""What holds for every method that is shipped."""

import pytest
import torch
from lightning.pytorch import Callback

from kdlight.methods.base.distiller import Distiller
from kdlight.runs.folder import RunFolder
from kdlight.runs.metrics_csv import MetricsCSV
from tests.methods.conftest import build, digits, trainer

EPOCHS, BATCHES = 3, 4


class PhaseRecorder(Callback):
    """Keeps the state of every child before and after each epoch, the rate, and the teacher's mode in each step."""

    def __init__(self):
        self.before, self.after, self.rates, self.teacher_trained = [], [], [], False

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:  # after the phase of the epoch was set
            self.before.append(states(pl_module))
            self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        if isinstance(pl_module, Distiller):
            self.teacher_trained |= any(module.training for module in pl_module.teacher.model.modules())

    def on_train_epoch_end(self, trainer, pl_module):
        self.after.append(states(pl_module))


def states(model):
    return {
        name: {key: value.clone() for key, value in child.state_dict().items()}
        for name, child in model.named_children()
    }


@pytest.fixture
def fitted(method, tmp_path):
    """A method after three epochs, what was seen, and the teacher's hash before."""
    decay = {"scheduler": lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, [1], gamma=0.1)}
    model, watch = build(method, **decay), PhaseRecorder()
    teacher = model.teacher.sha256() if isinstance(model, Distiller) else None
    loop = trainer(tmp_path, EPOCHS, callbacks=[watch], logger=MetricsCSV(RunFolder(tmp_path)))
    loop.fit(model, datamodule=digits())
    loop.save_checkpoint(tmp_path / "end.ckpt")
    return model, watch, teacher, loop.num_training_batches


def test_a_training_run_keeps_every_promise(fitted, tmp_path):
    model, watch, teacher, steps = fitted

    if teacher is not None:
        assert model.teacher.sha256() == teacher
        assert not watch.teacher_trained
        model.train()
        model.teacher.activations(torch.zeros(4, 1, 8, 8))
        assert model.teacher.sha256() == teacher, "train() must not reach the teacher"

    checkpoint = torch.load(tmp_path / "end.ckpt", weights_only=True)
    assert checkpoint.get("teacher_sha256") == teacher
    children = {name.partition(".")[0] for name in checkpoint["state_dict"]}
    assert children <= {name for name, _ in model.named_children()}
    assert "teacher" not in children

    rows = RunFolder(tmp_path).read_metrics()
    assert list(rows) == list(range(EPOCHS))
    for epoch, row in rows.items():
        terms = {name: value for name, value in row.items() if name.startswith("train/") and name != "train/loss"}
        assert row["train/loss"] == pytest.approx(sum(terms.values()), rel=1e-5)
        assert row["learning_rate"] == pytest.approx(watch.rates[epoch])
    assert watch.rates == pytest.approx([0.05, 0.005, 0.005])

    moved_once = set()
    for epoch in range(EPOCHS):
        learning = model.trainable_children(epoch)
        for name, child in model.named_children():
            before, after = watch.before[epoch][name], watch.after[epoch][name]
            moved = {key for key in before if not torch.equal(before[key], after[key])}
            if learning is not None and child not in learning:
                assert not moved, f"{name} moved in epoch {epoch}, in which it does not learn"
                continue
            moved_once |= {f"{name}.{key}" for key in moved}
            for key in (key for key in before if key.endswith("num_batches_tracked")):
                assert after[key] - before[key] == steps, f"{name}.{key} was not counted once a step in epoch {epoch}"
    stuck = {name for name, _ in model.named_parameters()} - moved_once
    assert not stuck, f"never trained: {stuck}"
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_resumed_equals_uninterrupted(method, tmp_path):
    whole = build(method)
    trainer(tmp_path, EPOCHS).fit(whole, datamodule=digits(augment=True))

    stopped = trainer(tmp_path, EPOCHS, max_steps=2 * BATCHES)
    stopped.fit(build(method), datamodule=digits(augment=True))
    stopped.save_checkpoint(tmp_path / "stopped.ckpt")
    resumed = build(method)
    options = {"ckpt_path": tmp_path / "stopped.ckpt", "weights_only": True}
    trainer(tmp_path, EPOCHS).fit(resumed, datamodule=digits(augment=True), **options)

    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_another_teacher_is_refused(method, tmp_path):
    model = build(method)
    if not isinstance(model, Distiller):
        pytest.skip("has no teacher")
    loop = trainer(tmp_path, EPOCHS, max_steps=BATCHES)
    loop.fit(model, datamodule=digits())
    loop.save_checkpoint(tmp_path / "one.ckpt")
    other = build(method)
    with torch.no_grad():
        next(other.teacher.model.parameters()).add_(1)
    with pytest.raises(ValueError, match="sha256"):
        trainer(tmp_path, EPOCHS).fit(other, datamodule=digits(), ckpt_path=tmp_path / "one.ckpt", weights_only=True)
