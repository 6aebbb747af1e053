from pathlib import Path

import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.data.base.samples import Samples
from kdlight.data.digits import DigitsDataModule
from kdlight.data.image_folder import ImageFolderDataModule
from kdlight.data.transfer import TransferDataModule
from tests.data.image_sets import write_folder
from tests.data.test_digits import BatchRecorder, trainer


class PatternDataModule(DigitsDataModule):
    """Other images of the shape of digits, with other classes."""

    class_names = ("left", "right")

    def read_train(self) -> Samples:
        images = torch.arange(90 * 64).view(90, 1, 8, 8) % 251
        return Samples(images.to(torch.uint8), torch.arange(90) % 2)


class UnlabelledRecorder(BatchRecorder):
    """Learns nothing from what it records."""

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        self.train_batches.append(batch)
        return self.layer(batch.images.flatten(1)).mean()


def test_it_trains_on_one_set_and_evaluates_on_the_other() -> None:
    digits = DigitsDataModule(mean=(0.5,), std=(0.25,))
    data = TransferDataModule(PatternDataModule(augment=True, batch_size=16, val_size=10, mean=(0.1,), seed=7), digits)
    assert data.seed == 7
    assert (data.num_classes, data.class_names, data.val_size) == (10, digits.class_names, 300)
    model = UnlabelledRecorder()
    loop = trainer(max_epochs=1)
    loop.fit(model, datamodule=data)
    indices = torch.cat([batch.index for batch in model.train_batches])
    assert indices.sort().values.tolist() == list(range(80))
    assert {batch.target.unique().item() for batch in model.train_batches} == {-1}
    made = data.load_views([batch.index for batch in model.train_batches], data.views.draw(0))
    for one, other in zip(model.train_batches, made, strict=True):
        assert one.images.equal(other.images)
    assert data.views.draw(0).keys() == {"0.shifts"}
    alone = DigitsDataModule(mean=(0.5,), std=(0.25,))
    alone.setup("validate")
    assert torch.cat([batch.target for batch in model.val_batches]).equal(alone.get_split("val").target)
    assert torch.cat([batch.images for batch in model.val_batches]).equal(
        torch.cat([batch.images for batch in alone.choose_probe_batches("val")])
    )
    (predicted, *_) = loop.predict(model, datamodule=data)  # type: ignore[misc]
    assert len(predicted) == 180
    with pytest.raises(ValueError, match="the val split is not there"):
        TransferDataModule(PatternDataModule(), digits).get_split("val")


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")
def test_without_a_validation_split_none_is_read() -> None:
    digits = DigitsDataModule(val_size=0)
    data = TransferDataModule(PatternDataModule(val_size=0), digits)
    data.setup("fit")
    assert data.train_size == 90
    assert data.val_dataloader() == []
    with pytest.raises(ValueError, match="the train split is not there"):
        digits.get_split("train")


def test_images_of_another_shape_are_refused(tmp_path: Path) -> None:
    photographs = ImageFolderDataModule(str(write_folder(tmp_path)), val_size=0, image_size=8)
    with pytest.raises(ValueError, match=r"one shape, got \(3, 8, 8\) to train on and \(1, 8, 8\) to evaluate on"):
        TransferDataModule(photographs, DigitsDataModule())


def test_image_files_serve_as_a_transfer_set(tmp_path: Path) -> None:
    def photographs(classes: int, name: str) -> ImageFolderDataModule:
        root = write_folder(tmp_path / name, classes=classes)
        return ImageFolderDataModule(str(root), val_size=3, image_size=8, num_workers=0, batch_size=7)

    data = TransferDataModule(photographs(2, "one"), photographs(3, "other"))
    data.setup("fit")
    data.setup("test")
    assert data.train_size == 13
    assert data.num_classes == 3
    assert data.get_split("val").target.tolist() == [0, 1, 2]
    assert len(data.get_split("test")) == 6
    assert next(iter(data.train_dataloader())).target.tolist() == [-1] * 7
