"""Crops, decoding in workers, and what training sees of image files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from torchvision.transforms import RandomResizedCrop, v2

from kdlight.data.base.batch import Batch
from kdlight.data.image_folder import ImageFolderDataModule
from kdlight.data.sources.decoding import decode
from kdlight.data.sources.image_files import draw_box
from kdlight.data.views.view_kinds import ResizedCrops
from kdlight.errors import UserError
from tests.data.image_sets import write_folder, write_image
from tests.data.test_digits import BatchRecorder, trainer

SIZE = 16


class PhotographRecorder(BatchRecorder):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3 * SIZE * SIZE, 10)
        torch.nn.init.zeros_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)


@pytest.fixture
def data(tmp_path: Path) -> Callable[..., ImageFolderDataModule]:
    write_folder(tmp_path)

    def build(**options: object) -> ImageFolderDataModule:
        defaults = {"augmentation": "crops", "image_size": SIZE, "val_size": 2, "batch_size": 4, "num_workers": 0}
        return ImageFolderDataModule(str(tmp_path), **{**defaults, **options})  # type: ignore[arg-type]

    return build


def seen(module: ImageFolderDataModule, epochs: int = 1, *, views: int = 1, strong: bool = False) -> list[Batch]:
    model = PhotographRecorder()
    model.views, model.strong_view = views, strong  # type: ignore[assignment]
    trainer(max_epochs=epochs, limit_val_batches=0).fit(model, datamodule=module)
    return model.train_batches


@pytest.mark.parametrize(("height", "width"), [(60, 80), (200, 30), (30, 200)])
def test_boxes_are_distributed_as_torchvisions(height: int, width: int) -> None:
    count = 4000
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    theirs = torch.tensor([_theirs(image) for _ in range(count)])
    ours = torch.tensor([draw_box(seed, height, width) for seed in range(count)])
    area, their_area = (boxes[:, 2] * boxes[:, 3] for boxes in (ours, theirs))
    ratio, their_ratio = ((boxes[:, 3] / boxes[:, 2]).log() for boxes in (ours, theirs))
    for one, other in [*zip(ours.T, theirs.T, strict=True), (area, their_area), (ratio, their_ratio)]:
        assert _distance(one, other) < 1.95 * (2 / count) ** 0.5  # Kolmogorov-Smirnov at 0.1 %
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()


def _theirs(image: torch.Tensor) -> list[int]:
    return list(RandomResizedCrop.get_params(image, scale=[0.08, 1.0], ratio=[3 / 4, 4 / 3]))


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Between two empirical distribution functions, at most."""
    places = torch.cat([one, other]).unique()
    parts = (torch.searchsorted(values.sort().values, places, right=True) / len(values) for values in (one, other))
    first, second = parts
    return float((first - second).abs().max())


def test_flips_are_fair_and_independent_of_crops() -> None:
    drawn = ResizedCrops().draw(20_000, torch.Generator().manual_seed(0))
    assert drawn["crop"].dtype == torch.int64
    assert len(drawn["crop"].unique()) == 20_000
    assert abs(drawn["flipped"].double().mean() - 0.5) < 5 * 0.5 / 20_000**0.5


def test_evaluation_sees_the_middle_as_torchvision_does(data: Callable[..., ImageFolderDataModule]) -> None:
    module = data()
    module.setup("test")
    (batch,) = module.test_dataloader()
    assert batch.target.tolist() == [0, 0, 1, 1, 2, 2]
    transform = v2.Compose([v2.Resize(18), v2.CenterCrop(SIZE)])
    paths = sorted((module.data_dir / "test").rglob("*.*"))
    for image, path in zip(batch.images, paths, strict=True):
        with Image.open(path) as opened:
            expected = transform(v2.functional.pil_to_tensor(opened.convert("RGB")))
        assert image.equal(expected)


def test_training_sees_the_crop_of_its_seed_flipped(data: Callable[..., ImageFolderDataModule]) -> None:
    module = data(batch_size=21)
    module.setup("fit")
    parameters = module.views.draw(0)
    assert list(parameters) == ["0.crop", "0.flipped"]
    (batch,) = seen(module)
    assert len(batch.index) == 21
    files = module.get_split("train")
    for image, place in zip(batch.images, batch.index.tolist(), strict=True):
        whole = decode(files.root / files.paths[place].decode())  # type: ignore[attr-defined]
        box = draw_box(int(parameters["0.crop"][place]), *whole.shape[-2:])
        view = v2.functional.resized_crop(whole, *box, [SIZE, SIZE], antialias=True)
        view = view.flip(-1) if parameters["0.flipped"][place] else view
        raw = Batch(view[None], batch.target[:1], batch.index[:1])
        assert image.equal(module.normalize_batch(raw).images[0])


@pytest.mark.parametrize(("views", "strong"), [(1, False), (2, False), (2, True)])
def test_the_views_made_outside_are_those_of_training(
    views: int, strong: bool, data: Callable[..., ImageFolderDataModule]
) -> None:
    module = data()
    batches = seen(module, 2, views=views, strong=strong)[6:]
    parameters = module.views.draw(1, views=views, strong=strong)
    made = module.load_views([b.index for b in batches], parameters, views=views, strong=strong)
    for one, other in zip(batches, made, strict=True):
        assert one.images.equal(other.images)
        assert len(one.images) == views * len(one.target)
    replayed = data()
    replayed.setup("fit")
    replayed.views.replay([parameters])
    first = seen(replayed, 1, views=views, strong=strong)[0]
    again = next(module.load_views([first.index], parameters, views=views, strong=strong))
    assert first.images.equal(again.images)


def test_without_augmentation_training_sees_the_middle(data: Callable[..., ImageFolderDataModule]) -> None:
    module = data(augment=False)
    for batch in seen(module, views=2):
        middle = module.normalize_batch(module.get_split("train").fetch_batch(batch.index)).images
        assert batch.images.equal(middle.repeat(2, 1, 1, 1))


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # on a machine with one core
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_workers_change_nothing_and_a_resumed_run_is_bit_identical(
    data: Callable[..., ImageFolderDataModule], tmp_path: Path
) -> None:
    def run(workers: int, checkpoint: Path | None, *callbacks: ModelCheckpoint) -> PhotographRecorder:
        model = PhotographRecorder()
        fit = trainer(max_epochs=2, callbacks=list(callbacks), limit_val_batches=0)
        fit.fit(model, datamodule=data(num_workers=workers), ckpt_path=checkpoint)
        return model

    whole = run(0, None, ModelCheckpoint(tmp_path / "saved", "{step}", every_n_train_steps=8, save_top_k=-1))
    resumed = run(2, tmp_path / "saved" / "step=8.ckpt")
    assert len(whole.train_batches) == 12
    assert len(resumed.train_batches) == 4
    for one, other in zip(whole.train_batches[8:], resumed.train_batches, strict=True):
        assert one.index.equal(other.index)
        assert one.images.equal(other.images)
    assert whole.layer.weight.equal(resumed.layer.weight)


def test_workers_take_nothing_from_the_runs_random_numbers(data: Callable[..., ImageFolderDataModule]) -> None:
    module = data(num_workers=1)
    module.setup("fit")
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert len(module.choose_probe_batches("val")) == 1
    assert torch.rand(1).equal(expected)


def test_processes_take_their_share(data: Callable[..., ImageFolderDataModule]) -> None:
    module = data()
    module.setup("fit")
    module.trainer = trainer(strategy="ddp", devices=2)
    assert sum(len(batch.target) for batch in module.train_dataloader()) == 11
    assert sum(len(batch.target) for batch in module.val_dataloader()) == 1  # type: ignore[union-attr, misc]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("broken", ["truncated", "text", "missing"])
def test_a_file_that_cannot_be_decoded_is_named_in_one_line(
    broken: str, workers: int, data: Callable[..., ImageFolderDataModule]
) -> None:
    module = data(num_workers=workers)
    module.setup("test")
    path = module.data_dir / "test" / "class1" / "1.jpg"
    content = path.read_bytes()
    path.unlink()
    if broken != "missing":
        path.write_bytes(content[: len(content) // 2] if broken == "truncated" else b"no image")
    with pytest.raises(UserError, match=rf"^{path} cannot be decoded \(.+\): replace it by an intact copy") as caught:
        list(module.test_dataloader())
    assert "\n" not in str(caught.value)


def test_the_training_images_are_known_by_path_and_size(data: Callable[..., ImageFolderDataModule]) -> None:
    def told(**options: object) -> str:
        module = data(**options)
        module.setup("fit")
        return module.hash_train_images()

    before = told()
    assert before == told(labels=False, seed=4, image_size=8)
    assert before != told(val_size=4)
    write_image(data().data_dir / "train" / "class0" / "0.png", 7, size=(99, 99))
    assert before != told()


def test_the_transform_tells_sizes() -> None:
    told = [
        ImageFolderDataModule("nowhere", val_size=0, **options).describe_transform()  # type: ignore[arg-type]
        for options in ({}, {"image_size": 160}, {"resize_size": 232}, {"augment": False})
    ]
    assert told[0]["augment"] == {"crop": "resized", "mirror": True}
    assert (told[0]["image_shape"], told[0]["resize_size"]) == ([3, 224, 224], 256)
    assert all(one != other for place, one in enumerate(told) for other in told[:place])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "expected image_size to be greater than or equal to 1, got 0"),
        ({"resize_size": 100}, "got 224 and 100"),
        ({"num_workers": -1}, "expected num_workers to be greater than or equal to 0, got -1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageFolderDataModule("nowhere", val_size=0, **options)
