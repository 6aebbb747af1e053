"""A cached teacher answers for the views it has seen, and for nothing else."""

import io
import json
import shutil
import sys

import pytest
import torch
from filelock import FileLock
from lightning.pytorch import Callback

from kdlight.caching import builder, teacher_cache
from kdlight.caching.teacher_cache import TeacherCache
from kdlight.data.digits import DigitsDataModule
from kdlight.errors import UserError
from kdlight.methods.at import AT
from kdlight.methods.base.distiller import Distiller
from kdlight.methods.cakd import CAKD
from kdlight.methods.kd import KD
from kdlight.models.frozen import Frozen
from tests.methods.conftest import build, digits, shipped, trainer


class TermRecorder(Callback):
    """The terms of every step, and how often the teacher ran."""

    def __init__(self):
        self.terms = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.terms.append({name: float(value) for name, value in pl_module.terms.items()})


@pytest.fixture
def runs(monkeypatch):
    """Counts the teacher's forward passes."""
    passes = []
    original = Frozen.activations

    def counted(self, images, **options):
        passes.append(len(images))
        return original(self, images, **options)

    monkeypatch.setattr(Frozen, "activations", counted)
    return passes


def fit(folder, model, data, **options):
    steps = TermRecorder()
    trainer(folder, options.pop("epochs", 5), callbacks=[steps], **options).fit(model, datamodule=data)
    return steps.terms


def cached(folder, method=KD, **cache):
    return build(method, teacher_cache=TeacherCache(str(folder / "cache"), **cache))


def test_twenty_cached_steps_equal_twenty_uncached_on_the_same_views(tmp_path, runs):
    model = cached(tmp_path)
    found = fit(tmp_path, model, digits(augment=True))
    made = 4 + 2  # four views in batches of 256 of 200 images, and two images for the shapes and the comparison
    assert len(found) == 20
    assert len(runs) == made, "the teacher runs while the cache is made, not afterwards"

    data = digits(augment=True)
    data.setup("fit")
    data.views.replay(model._cached.parameters)
    again = build(KD)
    expected = fit(tmp_path, again, data)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    for name, value in again.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-3, atol=5e-3)

    fresh = fit(tmp_path, build(KD), digits(augment=True))
    assert fresh[-1] != pytest.approx(found[-1], rel=1e-3, abs=1e-4), "other views give other losses"


def test_views_repeat_after_k_epochs_and_are_shared_by_seeds(tmp_path, runs):
    data = digits(augment=True, seed=3)
    fit(tmp_path, cached(tmp_path, views=2), data, epochs=1)
    runs.clear()
    model, other = cached(tmp_path, views=2), digits(augment=True, seed=4)
    fit(tmp_path, model, other, epochs=1)
    assert runs == [2], "two images are compared, none is computed for the cache"
    for module in (data, other):
        module.views.replay(model._cached.parameters)
    for epoch, same in ((0, 2), (1, 3)):
        loader = next(iter(data.train_dataloader()))
        first, second = (data.views.augment(loader, epoch=at).images for at in (epoch, same))
        assert torch.equal(first, second)
        assert torch.equal(first, other.views.augment(loader, epoch=epoch).images)
        assert not torch.equal(first, data.views.augment(loader, epoch=epoch + 1).images)


def test_without_augmentation_there_is_one_view(tmp_path):
    model = cached(tmp_path)
    found = fit(tmp_path, model, digits())
    assert len(model._cached.parameters) == 1
    for ours, theirs in zip(found, fit(tmp_path, build(KD), digits()), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    "method", [made for made in shipped() if issubclass(made, Distiller)], ids=lambda made: made.__name__
)
def test_every_method_learns_the_same_from_a_cache(method, tmp_path):
    # At the recipe's rate some methods multiply the last digits, which the composition of batches changes.
    options = {"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=1e-4)}
    if method is CAKD:
        options["stages"] = []
    model = build(method, teacher_cache=TeacherCache(str(tmp_path / "cache"), views=2, precision="float32"), **options)
    found = fit(tmp_path, model, digits(augment=True), epochs=3, limit_train_batches=2)
    data = digits(augment=True)
    data.setup("fit")
    data.views.replay(model._cached.parameters)
    expected = fit(tmp_path, build(method, **options), data, epochs=3, limit_train_batches=2)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)


class MixedDigits(DigitsDataModule):
    """Averages pairs of images behind the module's own views."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return batch._replace(images=(batch.images + batch.images.flip(0)) / 2)


def other_network(model):
    """The same weights under the same names in a network that computes something else."""
    body = model.teacher.model
    plain = body.activations
    body.activations = lambda images: plain(images.flip(-1))
    return model


def other_weights(model):
    with torch.no_grad():
        next(model.teacher.model.parameters()).add_(1)
    return model


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda folder: (other_weights(cached(folder)), digits(augment=True)), "another teacher"),
        (lambda folder: (cached(folder), digits(augment=True, val_size=200)), "other training images"),
        (lambda folder: (cached(folder), digits(augment=True, mean=(0.5,))), "another transform"),
        (lambda folder: (cached(folder), digits()), "another transform"),
        (lambda folder: (cached(folder, views=3), digits(augment=True)), "another number of views"),
        (lambda folder: (cached(folder, top=3), digits(augment=True)), "another `top`"),
        (lambda folder: (cached(folder, precision="float32"), digits(augment=True)), "another precision"),
        (lambda folder: (cached(folder, AT), digits(augment=True)), "does not hold the teacher's stages"),
        (
            lambda folder: (other_network(cached(folder)), digits(augment=True)),
            "differ from those that this teacher computes",
        ),
        (
            lambda folder: (cached(folder), MixedDigits(augment=True, train_per_class=20, batch_size=50)),
            "not the views",
        ),
    ],
)
def test_a_cache_for_another_run_is_refused(tmp_path, change, complaint):
    fit(tmp_path, cached(tmp_path), digits(augment=True), epochs=1)
    model, data = change(tmp_path)
    with pytest.raises(ValueError, match=complaint):
        fit(tmp_path, model, data, epochs=1)


def test_a_cache_of_other_random_streams_is_refused(tmp_path, monkeypatch):
    fit(tmp_path, cached(tmp_path), digits(augment=True), epochs=1)
    monkeypatch.setattr(teacher_cache, "STREAMS_VERSION", teacher_cache.STREAMS_VERSION + 1)
    with pytest.raises(UserError, match="made for random streams of another version"):
        fit(tmp_path, cached(tmp_path), digits(augment=True), epochs=1)


def damage_data(folder):
    path = folder / "logits.bin"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (damage_data, "logits.bin is truncated or changed"),
        (lambda folder: (folder / "logits.bin").write_bytes(b"short"), "logits.bin is truncated or changed"),
        (lambda folder: (folder / "logits.bin").unlink(), "found no file"),
        (lambda folder: (folder / "views.safetensors").write_bytes(b"short"), "views.safetensors is truncated"),
        (lambda folder: (folder / "cache.json").write_text("{"), "does not describe a teacher cache"),
    ],
)
def test_a_damaged_cache_is_refused(tmp_path, damage, complaint):
    fit(tmp_path, cached(tmp_path), digits(augment=True), epochs=1)
    damage(tmp_path / "cache")
    with pytest.raises(ValueError, match=complaint):
        fit(tmp_path, cached(tmp_path), digits(augment=True), epochs=1)


def test_a_stopped_making_goes_on_behind_its_last_view(tmp_path, runs, monkeypatch):
    whole = cached(tmp_path)
    fit(tmp_path, whole, digits(augment=True), epochs=1)
    expected = json.loads((tmp_path / "cache/cache.json").read_text())
    shutil.rmtree(tmp_path / "cache")
    everything = len(runs)

    class InterruptedProgress(builder.Progress):
        def update(self, task, *, description):
            if "view 3" in description:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(builder, "Progress", InterruptedProgress)
        with pytest.raises(SystemExit):  # what Lightning makes of Ctrl-C
            fit(tmp_path, cached(tmp_path), digits(augment=True), epochs=1)
    assert not (tmp_path / "cache").exists()
    runs.clear()
    fit(tmp_path, cached(tmp_path), digits(augment=True), epochs=1)
    assert 0 < len(runs) < everything
    assert json.loads((tmp_path / "cache/cache.json").read_text()) == expected


def test_a_run_goes_on_with_its_own_cache_alone(tmp_path):
    model = cached(tmp_path)
    stopped = trainer(tmp_path, 3, max_steps=4)
    stopped.fit(model, datamodule=digits(augment=True, seed=1))
    stopped.save_checkpoint(tmp_path / "stopped.ckpt")
    shutil.rmtree(tmp_path / "cache")
    fit(tmp_path, cached(tmp_path), digits(augment=True, seed=2), epochs=1)
    for other, began in ((cached(tmp_path), "with another teacher cache"), (build(KD), "with another teacher cache")):
        with pytest.raises(ValueError, match=f"this run began {began}"):
            trainer(tmp_path, 3).fit(
                other, datamodule=digits(augment=True), ckpt_path=tmp_path / "stopped.ckpt", weights_only=True
            )


def test_a_replay_ends_with_its_fit(tmp_path):
    data = digits(augment=True)
    fit(tmp_path, cached(tmp_path, views=1), data, epochs=1)
    batch = next(iter(data.train_dataloader()))
    first, second = (data.views.augment(batch, epoch=epoch).images for epoch in (0, 1))
    assert not torch.equal(first, second)


def test_a_feature_methods_cache_serves_a_logit_method(tmp_path, runs):
    fit(tmp_path, cached(tmp_path, AT), digits(augment=True), epochs=1)
    runs.clear()
    fit(tmp_path, cached(tmp_path, KD), digits(augment=True), epochs=1)
    assert runs == [2]


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="not empty and is no teacher cache"):
        fit(tmp_path, cached(tmp_path), digits(), epochs=1)
    assert (tmp_path / "cache/thesis.tex").read_text() == "mine"


class Waited(io.StringIO):
    """A stderr that releases a lock as soon as something is written."""

    def __init__(self, lock):
        super().__init__()
        self.lock = lock

    def write(self, text):
        self.lock.release()
        return super().write(text)


def test_a_run_waits_for_another_that_makes_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "LOCK_SECONDS", 0.05)
    lock = FileLock(tmp_path / "cache.lock", thread_local=False)
    lock.acquire()
    monkeypatch.setattr(sys, "stderr", stderr := Waited(lock))
    fit(tmp_path, cached(tmp_path), digits(), epochs=1)
    assert "another run makes" in stderr.getvalue()


@pytest.mark.parametrize("folder", ["/proc/cache", "{tmp_path}/file/cache"])
def test_a_lock_that_cannot_be_created_is_refused_at_once(folder, tmp_path):
    (tmp_path / "file").write_text("")
    folder = folder.format(tmp_path=tmp_path)
    model = build(KD, teacher_cache=TeacherCache(folder))
    with pytest.raises(UserError, match=rf"no teacher cache can be made at {folder}: {folder}\.lock cannot be written"):
        fit(tmp_path, model, digits(), epochs=1)


def test_no_room_on_the_disk_is_said_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(OSError, match=r"needs \d\S* MB, but 0\.0 MB are free"):
        fit(tmp_path, cached(tmp_path), digits(augment=True), epochs=1)
    assert not (tmp_path / "cache.part").exists()


def test_outputs_beyond_half_precision_are_refused(tmp_path):
    model = cached(tmp_path)
    with torch.no_grad():
        model.teacher.model.head.weight.mul_(1e6)
    with pytest.raises(ValueError, match=r"not finite in float16.*float32"):
        fit(tmp_path, model, digits(augment=True), epochs=1)


@pytest.mark.parametrize("wrong", [{"views": 0}, {"top": 0}, {"precision": "float8"}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected views and top to be at least 1"):
        TeacherCache("cache", **wrong)


def test_what_no_cache_can_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="gradient"):
        cached(tmp_path, CAKD)
    with pytest.raises(ValueError, match="top is 10: expected less than"):
        fit(tmp_path, cached(tmp_path, top=10), digits(), epochs=1)


@pytest.mark.parametrize("train_per_class", [20, 17])
def test_the_top_of_the_logits_is_kept_for_every_sample(train_per_class, tmp_path):
    data = digits(augment=True)
    data.train_per_class, data.eval_batch_size = train_per_class, 64
    model = cached(tmp_path, views=2, top=3)
    fit(tmp_path, model, data, epochs=1)
    everything = torch.arange(data.train_size)
    for view, parameters in enumerate(model._cached.parameters):
        (batch,) = data.load_views([everything], parameters)
        said = model.teacher.activations(batch.images).logits.softmax(1)
        kept = model._cached.activations(view, everything).logits.softmax(1)
        top = said.topk(3, dim=1).indices
        torch.testing.assert_close(kept.gather(1, top), said.gather(1, top), rtol=5e-3, atol=1e-3)


def test_what_is_in_the_way_is_not_removed(tmp_path):
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(ValueError, match="not empty and is no teacher cache"):
        fit(tmp_path, cached(tmp_path), digits(), epochs=1)
    (tmp_path / "cache").unlink()
    (tmp_path / "cache.part").mkdir()
    with pytest.raises(ValueError, match=r"cache\.part is in the way"):
        fit(tmp_path, cached(tmp_path), digits(), epochs=1)


def test_a_path_alone_is_not_taken_for_settings():
    with pytest.raises(ValueError, match=r"expected kdlight\.caching\.TeacherCache"):
        build(KD, teacher_cache="cache")
