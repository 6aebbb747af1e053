from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn.datasets import load_digits

from kdlight.data.base.batch import Batch
from kdlight.data.base.samples import Samples
from kdlight.data.digits import DigitsDataModule
from kdlight.errors import UserError


class BatchRecorder(LightningModule):
    """Records what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(64, 10)
        torch.nn.init.zeros_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)
        self.train_batches: list[Batch] = []
        self.val_batches: list[Batch] = []

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        self.train_batches.append(batch)
        return torch.nn.functional.cross_entropy(self.layer(batch.images.flatten(1)[: len(batch.target)]), batch.target)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.val_batches.append(batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        return batch.index

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def trainer(**options: object) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    if not options.get("callbacks"):
        quiet["enable_checkpointing"] = False
    return Trainer(accelerator="cpu", num_sanity_val_steps=0, **quiet, **options)  # type: ignore[arg-type]


@pytest.fixture
def digits() -> DigitsDataModule:
    module = DigitsDataModule()
    module.setup("fit")
    module.setup("test")
    return module


def test_splits_are_disjoint_complete_and_stratified(digits: DigitsDataModule) -> None:
    parts = [digits.get_split("train"), digits.get_split("val"), digits.get_split("test")]
    assert [len(part) for part in parts] == [1137, 300, 360]
    assert digits.train_size == 1137
    together = torch.cat([part.images for part in parts]).flatten(1)
    everything = torch.from_numpy(load_digits().data * 255 / 16).round().to(torch.uint8)
    assert sorted(map(bytes, together.numpy())) == sorted(map(bytes, everything.numpy()))
    for part in parts:
        assert part.images.shape[1:] == digits.image_shape
        share = torch.from_numpy(load_digits().target).bincount() * len(part) / 1797
        assert (part.target.bincount() - share).abs().max() <= 2


def test_splits_do_not_depend_on_the_seed(digits: DigitsDataModule) -> None:
    other = DigitsDataModule(seed=5)
    other.setup("fit")
    assert other.get_split("val").images.equal(digits.get_split("val").images)
    first, second = (next(iter(module.train_dataloader())).index for module in (digits, other))
    assert not first.equal(second)


def test_default_mean_and_std_are_the_data_sets(digits: DigitsDataModule) -> None:
    pixels = torch.cat([digits.get_split("train").images, digits.get_split("val").images]).double() / 255
    assert abs(pixels.mean() - digits.mean[0]) < 5e-5
    assert abs(pixels.std() - digits.std[0]) < 5e-5


def test_train_per_class_keeps_the_validation_split(digits: DigitsDataModule) -> None:
    few = DigitsDataModule(train_per_class=7)
    few.setup("fit")
    assert few.get_split("train").target.bincount().tolist() == [7] * 10
    assert few.get_split("val").images.equal(digits.get_split("val").images)
    assert max(int(batch.index.max()) for batch in few.train_dataloader()) == 69


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")
def test_without_validation_split_there_is_no_loader() -> None:
    module = DigitsDataModule(val_size=0)
    module.setup("fit")
    assert module.train_size == 1437
    assert module.val_dataloader() == []
    with pytest.raises(ValueError, match="no validation split to validate on: set val_size above 0"):
        module.setup("validate")
    with pytest.raises(ValueError, match=r"the val split is not there: .*val_size above 0"):
        module.choose_probe_batches("val")
    model = BatchRecorder()
    trainer(max_epochs=1, limit_train_batches=2).fit(model, datamodule=module)
    assert len(model.train_batches) == 2
    assert not model.val_batches


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_size": 1437}, "val_size=1437 leaves nothing to train on: the training set has 1437 images"),
        ({"train_per_class": 200}, r"train_per_class=200 is more than the \d+ images that are left of class '8'"),
        ({"batch_size": 0}, "expected batch_size to be greater than or equal to 1, got 0"),
        ({"val_size": -1}, "expected val_size to be greater than or equal to 0, got -1"),
        ({"seed": -1}, "expected seed to be greater than or equal to 0, got -1"),
        ({"mean": [0.1, 0.2]}, r"mean and std need 1 numbers each, std above 0, but are \[0.1, 0.2\]"),
        ({"std": [0.0]}, r"expected std\[0\] to be greater than 0, got 0.0"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        DigitsDataModule(**options).setup("fit")  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_probe_is_fixed_normalised_and_stratified(digits: DigitsDataModule) -> None:
    probe = digits.choose_probe_batches("val", 100)
    again = digits.choose_probe_batches("val", 100)
    assert all(torch.equal(one.images, other.images) for one, other in zip(probe, again, strict=True))
    index = torch.cat([batch.index for batch in probe])
    assert index.equal(index.unique())
    assert torch.cat([batch.target for batch in probe]).bincount().tolist() == pytest.approx([10] * 10, abs=1)
    raw = digits.get_split("val").images[index].float() / 255
    expected = (raw - digits.mean[0]) / digits.std[0]
    torch.testing.assert_close(torch.cat([batch.images for batch in probe]), expected)
    assert not torch.cat([batch.index for batch in digits.choose_probe_batches("val", 100, seed=1)]).equal(index)
    assert sum(len(batch.target) for batch in digits.choose_probe_batches("test")) == 360
    with pytest.raises(ValueError, match=r"images from 1 to 300 \(the size of the val split\), got 301"):
        digits.choose_probe_batches("val", 301)


def test_lightning_trains_on_normalised_images_and_validates_on_fixed_ones() -> None:
    module, model = DigitsDataModule(augment=True), BatchRecorder()
    trainer(max_epochs=2).fit(model, datamodule=module)
    assert len(model.train_batches) == 2 * 18
    indices = torch.cat([batch.index for batch in model.train_batches[:18]])
    assert indices.sort().values.equal(torch.arange(1137))
    assert not indices.equal(torch.cat([batch.index for batch in model.train_batches[18:]]))
    assert model.train_batches[0].images.dtype == torch.float32
    first, second = (torch.cat([batch.images for batch in model.val_batches[i : i + 2]]) for i in (0, 2))
    assert first.equal(second)
    assert first.equal(torch.cat([batch.images for batch in module.choose_probe_batches("val")]))


def test_predict_covers_the_test_set_in_order() -> None:
    results = trainer().predict(BatchRecorder(), datamodule=DigitsDataModule(eval_batch_size=100))
    assert torch.cat(results).equal(torch.arange(360))  # type: ignore[arg-type]


def test_two_views_are_stacked_and_differ() -> None:
    model = BatchRecorder()
    model.views = 2  # type: ignore[assignment]
    module = DigitsDataModule(augment=True)
    trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=1).fit(model, datamodule=module)
    batch = model.train_batches[0]
    assert len(batch.images) == 2 * len(batch.target)
    one, other = batch.images.chunk(2)
    raw = module.get_split("train").fetch_batch(batch.index)
    first_view = module.normalize_batch(module.views.augment(raw, epoch=0)).images
    assert one.equal(first_view)
    same = (one == other).flatten(1).all(1)
    assert 0 < same.sum() < 32  # of 64 with nine crops; 7 are expected
    assert len(model.val_batches[0].images) == len(model.val_batches[0].target)


def test_a_view_depends_on_seed_epoch_and_sample_alone() -> None:
    module, other = DigitsDataModule(augment=True, seed=1), DigitsDataModule(augment=True, seed=2)
    module.setup("fit")
    other.setup("fit")
    samples = module.get_split("train")
    whole = module.views.augment(samples.fetch_batch(torch.arange(1137)), epoch=3).images
    part = torch.tensor([900, 3, 77])
    assert module.views.augment(samples.fetch_batch(part), epoch=3).images.equal(whole[part])
    assert not module.views.augment(samples.fetch_batch(torch.arange(1137)), epoch=4).images.equal(whole)
    assert not other.views.augment(samples.fetch_batch(torch.arange(1137)), epoch=3).images.equal(whole)


def test_the_seed_is_the_runs_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def order(seed: int | None) -> torch.Tensor:
        module = DigitsDataModule(seed=seed)
        module.setup("fit")
        return next(iter(module.train_dataloader())).index

    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    assert order(None).equal(order(0))
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    assert order(None).equal(order(4))
    assert not order(None).equal(order(0))


def test_processes_take_their_share() -> None:
    module = DigitsDataModule()
    module.setup("fit")
    module.trainer = trainer(strategy="ddp", devices=2)
    assert len(module.train_dataloader()) == 9
    assert sum(len(batch.target) for batch in module.train_dataloader()) == 568
    assert sum(len(batch.target) for batch in module.val_dataloader()) == 150  # type: ignore[union-attr, misc]


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.parametrize("step", [10, 18, 25])
def test_resumed_run_is_bit_identical(step: int, tmp_path: Path) -> None:
    def run(model: BatchRecorder, checkpoint: Path | None, *callbacks: ModelCheckpoint) -> None:
        fit = trainer(max_epochs=2, callbacks=list(callbacks), limit_val_batches=0)
        fit.fit(model, datamodule=DigitsDataModule(augment=True), ckpt_path=checkpoint)

    whole, resumed = BatchRecorder(), BatchRecorder()
    run(whole, None, ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=step, save_top_k=-1))
    run(resumed, tmp_path / f"step={step}.ckpt")
    assert len(resumed.train_batches) == 36 - step
    for one, other in zip(whole.train_batches[step:], resumed.train_batches, strict=True):
        assert one.images.equal(other.images)
    assert whole.layer.weight.equal(resumed.layer.weight)


def test_overfitting_repeats_the_same_batches() -> None:
    model = BatchRecorder()
    with pytest.warns(UserWarning, match="We are turning off the train dataloader shuffling for you"):
        trainer(max_epochs=2, overfit_batches=2).fit(model, datamodule=DigitsDataModule())
    first, second = ([batch.index for batch in model.train_batches[i : i + 2]] for i in (0, 2))
    assert torch.cat(first).equal(torch.cat(second))


def test_the_saved_config_has_every_value() -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(DigitsDataModule, "data")
    data = parser.parse_args(["--data.val_size=200"]).data
    assert data.as_dict() == {
        "val_size": 200,
        "augment": False,
        "mean": (0.3052,),
        "std": (0.3758,),
        "labels": True,
        "train_per_class": None,
        "label_noise": 0.0,
        "batch_size": 64,
        "eval_batch_size": 256,
        "seed": None,
    }


def test_a_transfer_set_has_no_labels_to_train_on():
    data = DigitsDataModule(labels=False)
    data.setup("fit")
    assert (data.get_split("train").target == -1).all()
    assert (data.get_split("val").target >= 0).all()


@pytest.mark.parametrize(("part", "stage"), [("training", "fit"), ("test", "test")])
@pytest.mark.parametrize("wrong", [10, -1])
def test_a_label_that_is_no_class_is_refused_before_training(part: str, stage: str, wrong: int) -> None:
    class Mislabelled(DigitsDataModule):
        def read_train(self) -> Samples:
            samples = super().read_train()
            return samples.with_target(samples.target.index_fill(0, torch.tensor([3]), wrong))

        read_test = read_train

    data = Mislabelled()
    with pytest.raises(UserError, match=rf"classes of the {part} images to be numbers from 0 to 9, got {wrong}"):
        data.setup(stage)
