"""What a training step costs beside its arithmetic, and that saving it changes no number."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kdlight.methods.base.distiller import Distiller
from kdlight.methods.kd import KD
from tests.methods.conftest import build, digits, shipped, trainer

# Operators whose result has to be known on the host: each would make it wait for the device.
SYNCHRONISING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal.default")


class NoSynchronisation(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert not any(name in str(func) for name in SYNCHRONISING), f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


def test_no_part_of_a_step_waits_for_the_device(method, tmp_path):
    seen = []

    class UnsynchronisedMethod(method):
        def training_step(self, batch, batch_idx):
            with NoSynchronisation():
                loss = super().training_step(batch, batch_idx)
            seen.append(self.current_epoch)
            return loss

        def backward(self, loss, *args, **kwargs):
            with NoSynchronisation():
                super().backward(loss, *args, **kwargs)

    UnsynchronisedMethod.__name__, UnsynchronisedMethod.__module__ = method.__name__, method.__module__
    trainer(tmp_path, 3, limit_train_batches=1).fit(build(UnsynchronisedMethod), datamodule=digits())
    assert set(seen) == {0, 1, 2}


def test_the_guard_sees_an_operator_that_waits():
    with NoSynchronisation(), pytest.raises(AssertionError, match="waits"):
        torch.ones(1).sum().item()


@pytest.mark.parametrize(
    "method",
    [made for made in shipped() if issubclass(made, Distiller) and not made.saves_teacher],
    ids=lambda made: made.__name__,
)
def test_inference_mode_leaves_the_gradient_as_it_is(method):
    gradients = []
    for saves_teacher in (True, False):
        model = build(method)
        model.saves_teacher = saves_teacher
        data = digits()
        data.setup("fit")
        (batch, *_) = data.choose_probe_batches("train", 50)
        views = getattr(method, "views", 1)
        batch = batch._replace(images=batch.images.repeat(views, 1, 1, 1))
        torch.manual_seed(0)
        torch.stack(tuple(model.batch_terms(batch).values())).sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert any(gradient is not None for gradient in gradients[0])
    for normal, inference in zip(*gradients, strict=True):
        assert (normal is None and inference is None) or torch.equal(normal, inference)


def test_the_memory_layout_changes_the_last_digits_alone(method, tmp_path):
    ended = []
    for channels_last in (False, True):
        model = build(method, channels_last=channels_last)
        trainer(tmp_path, 3, max_steps=1).fit(model, datamodule=digits())
        convolutions = [p for p in model.student.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1]
        assert convolutions
        assert all(p.is_contiguous(memory_format=torch.channels_last) == channels_last for p in convolutions)
        if isinstance(model, Distiller):
            kept = [p for p in model.teacher.model.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1]
            assert all(p.is_contiguous(memory_format=torch.channels_last) == channels_last for p in kept)
        ended.append(model.terms)
    for name, value in ended[0].items():
        torch.testing.assert_close(ended[1][name], value, rtol=1e-3, atol=1e-5)


def test_a_teacher_in_lower_precision_stays_the_same_teacher(tmp_path):
    plain, lowered = build(KD), build(KD, teacher_precision="bf16")
    expected = plain.teacher.sha256()
    for model in (plain, lowered):
        trainer(tmp_path, 1, max_steps=1).fit(model, datamodule=digits())
    assert next(lowered.teacher.model.parameters()).dtype == torch.bfloat16
    assert lowered.teacher.sha256() == expected
    assert lowered.teacher.activations(torch.zeros(2, 1, 8, 8)).logits.dtype == torch.float32
    torch.testing.assert_close(lowered.terms["kd"], plain.terms["kd"], rtol=0.05, atol=0.01)
    assert not torch.equal(lowered.terms["kd"], plain.terms["kd"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on its way to the compiler
@pytest.mark.parametrize("method", [KD], ids=["KD"])
def test_compiled_networks_learn_the_same(method, tmp_path):
    ended = []
    for compiled in (False, True):
        model = build(method, compile=compiled)
        trainer(tmp_path, 1, max_steps=3).fit(model, datamodule=digits())
        assert not any("_orig_mod" in name for name in model.state_dict())
        ended.append(model.state_dict())
    for name, value in ended[0].items():
        torch.testing.assert_close(ended[1][name], value, rtol=1e-2, atol=1e-4)
    assert any(not torch.equal(ended[1][name], value) for name, value in ended[0].items()), "nothing was compiled"


class Undeclared(KD):
    """Reads features, and does not say so."""

    def loss_terms(self, student, teacher, batch):
        pairs = zip(student.stages, teacher.stages, strict=False)
        return {"features": torch.stack([(ours - theirs).pow(2).mean() for ours, theirs in pairs]).sum()}


def test_a_field_that_a_method_does_not_declare_cannot_be_read(tmp_path):
    model = Undeclared(build(KD).student, build(KD).teacher)
    with pytest.raises(ValueError, match="stages was not kept"):
        trainer(tmp_path, 1).fit(model, datamodule=digits())


def test_whole_precisions_train_and_keep_the_teachers_identity(tmp_path):
    for precision, kind in (("bf16-true", torch.bfloat16), ("64-true", torch.float64)):
        model = build(KD)
        expected = model.teacher.sha256()
        trainer(tmp_path, 1, max_steps=2, precision=precision).fit(model, datamodule=digits())
        assert next(model.student.parameters()).dtype == next(model.teacher.model.parameters()).dtype == kind
        assert model.teacher.sha256() == expected
        assert all(term.isfinite() for term in model.terms.values())


def test_a_teacher_that_was_lowered_is_not_taken_for_a_whole_one(tmp_path):
    lowered = build(KD, teacher_precision="bf16")
    trainer(tmp_path, 1, max_steps=1).fit(lowered, datamodule=digits())
    with pytest.raises(ValueError, match="build the teacher anew"):
        trainer(tmp_path, 1, max_steps=1).fit(KD(build(KD).student, lowered.teacher), datamodule=digits())
